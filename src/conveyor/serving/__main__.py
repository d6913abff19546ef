"""The serve process: `python -m conveyor.serving --bundle DIR --port 0` serves one release.

Prints one JSON line {"port": n} once it listens; exits with 1 when the model cannot be served.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from conveyor.codec import Keyring
from conveyor.errors import ConveyorError
from conveyor.serving.server import Listen, Load, load_onnx, serve
from conveyor.serving.settings import ServingSettings

logger = logging.getLogger("conveyor.serving")


def main(arguments: Sequence[str], environment: Mapping[str, str], load: Load = load_onnx) -> int:
    """Serve until told to stop; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # A full queue is what back-pressure looks like, not news for every request.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        settings = ServingSettings.from_env(environment)
        serve(_listen(arguments), settings, Keyring.from_env(environment), load)
    except ConveyorError as error:
        logger.error("%s", error)  # noqa: TRY400  (the message is the whole story)
        return 1
    return 0


def _listen(arguments: Sequence[str]) -> Listen:
    parser = argparse.ArgumentParser(prog="python -m conveyor.serving", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parsed = parser.parse_args(arguments)
    return Listen(bundle=parsed.bundle, host=parsed.host, port=parsed.port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
