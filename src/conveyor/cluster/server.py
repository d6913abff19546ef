"""Runs a function's web application as a pod: listens on PORT, and ends without loss."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar
from wsgiref.types import WSGIApplication

from conveyor.cluster.delivery import Delivery
from conveyor.cluster.settings import FunctionSettings
from conveyor.errors import ConveyorError
from conveyor.web import Gate, SizeGate, WebServer

IDLE = 120.0
"""Seconds after which a silent connection is closed: longer than Knative's proxy keeps one."""

DRAIN = 240.0
"""Seconds that requests in flight, and then what is published behind them, have after SIGTERM.

Knative sends no more requests by then; it kills the pod after the revision's timeout.
"""

MAX_BODY = 2**20
"""Bytes of a body that are read at all; an event has less, and is told so."""

D = TypeVar("D", bound=Delivery)

log = logging.getLogger(__name__)


def start(open_parts: Callable[[FunctionSettings], D], compose: Callable[[D], "Site"]) -> None:
    """Compose a site from the environment and run it; exits 1 saying what is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        parts = open_parts(FunctionSettings.from_env(os.environ))
        run(compose(parts), parts)
    except ConveyorError as error:
        sys.exit(f"conveyor: {error}")


class Site:
    """An application, what its requests' heads are asked, and what opens its parts early."""

    def __init__(
        self,
        application: WSGIApplication,
        *,
        gate: Gate | None = None,
        warm: Callable[[], object] = bool,
    ) -> None:
        self.application = application
        self.gate = gate or SizeGate(MAX_BODY)
        self.warm = warm


def run(site: Site, parts: Delivery) -> None:
    """Answer until SIGTERM; then finish what is in flight, publish what waits, and close."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    web = WebServer("0.0.0.0", parts.settings.port, site.gate, idle=IDLE)  # noqa: S104 -- a pod
    web.serve(site.application)
    log.info("answering at %s", web.url)
    threading.Thread(target=_open_early, args=(site.warm,), name="warm", daemon=True).start()
    ended.wait()
    # The port stays open: who was told of us a moment ago still comes here.
    web.wait_idle(DRAIN)
    if not parts.background.drain(DRAIN):
        log.warning("not all was published: reconcile finds it in the outbox")
    web.wait_idle(DRAIN)
    web.stop()
    parts.close()


def _open_early(warm: Callable[[], object]) -> None:
    """Open what the first request will need; what fails is said by that request."""
    try:
        warm()
    except ConveyorError as error:
        log.warning("not open yet: %s", error)
