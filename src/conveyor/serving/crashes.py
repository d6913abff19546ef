"""Tells the judge that a model's process crashed: it could not count the request it died of."""

import logging
import time
from collections.abc import Callable
from secrets import token_hex

from conveyor.domain.evidence import Evidence
from conveyor.domain.payloads import InferenceObserved
from conveyor.errors import Rejected, Unavailable

logger = logging.getLogger(__name__)

INSTANCE = "pod"
PAUSE = 1.0


def report(
    send: Callable[[InferenceObserved], None], *, model: str, release: str, within: float
) -> bool:
    """Send one request and its error as a window of its own; False when that failed in time."""
    window = InferenceObserved(
        model=model,
        revision=release,
        instance=f"{INSTANCE}-{token_hex(8)}",
        window=0,
        summary=Evidence(requests=1, errors=1).to_summary(),
    )
    end = time.monotonic() + within
    while True:
        try:
            send(window)
        except Unavailable as error:
            logger.warning("a crash is not reported yet: %s", error)
        except Rejected as error:
            logger.error("a crash cannot be reported: %s", error)  # noqa: TRY400
            return False
        else:
            return True
        if time.monotonic() + PAUSE > end:
            return False
        time.sleep(PAUSE)
