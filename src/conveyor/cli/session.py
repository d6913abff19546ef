"""How a command finds its engine, and the options that all of them share."""

import functools
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from conveyor.cli.client import Client, NotReachable
from conveyor.errors import Rejected

STATE = ".conveyor"
ADDRESS = "api.json"
LOCK = "engine.lock"

GRACE = 5.0
"""Seconds that a command waits for an engine that `conveyor up &` began to start just before."""

STARTING = 30.0
"""Seconds that it waits while an engine holds the state folder and does not answer yet."""

_POLL = 0.1

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Session:
    """The engine that a command speaks to, and whether it answers in JSON."""

    client: Client
    json: bool


def with_engine(
    command: Callable[..., R], *, advice: Callable[[], str] = lambda: ""
) -> Callable[..., R]:
    """Give a command its Session first, and the options --url, --token, --host and --json.

    advice says what else may be done where no engine answers.
    """

    @click.option("--url", envvar="CONVEYOR_URL", help="The engine's address.")
    @click.option("--token", envvar="CONVEYOR_TOKEN", help="The engine's token.")
    @click.option("--host", envvar="CONVEYOR_HOST", help="Its name, where --url is a gateway's.")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        url: str | None,
        token: str | None,
        host: str | None,
        as_json: bool,
        **kwargs: Any,
    ) -> R:
        try:
            session = Session(client=connect(url, token, host=host), json=as_json)
            with closing(session.client):
                return command(session, *args, **kwargs)
        except NotReachable as error:
            raise NotReachable(f"{error}{advice()}") from error

    return wrapped


def connect(
    url: str | None, token: str | None, *, host: str | None = None, start: Path | None = None
) -> Client:
    """Return a client of the engine that is named, or of the line around the folder.

    Raises NotReachable where no engine runs there.
    """
    if url and token:
        return Client(url, token, host=host or "")
    found = _wait_for_address(start or Path.cwd())
    # The name that was told belongs to the address that was told with it.
    told = "" if url else found["host"]
    return Client(url or found["url"], token or found["token"], host=host or told)


def line_folder(start: Path, wanted: str = "conveyor.yaml") -> Path | None:
    """Return the nearest folder, from start upwards, that holds a file; None where none does."""
    folder = start.resolve()
    return next((each for each in (folder, *folder.parents) if (each / wanted).is_file()), None)


def _wait_for_address(start: Path) -> dict[str, str]:
    """Return the address once it is there: an engine that was started a moment ago has none yet."""
    began = time.monotonic()
    while True:
        try:
            return _address(start)
        except NotReachable:
            waited = time.monotonic() - began
            patience = STARTING if _is_starting(start) else GRACE
            if waited > patience or line_folder(start) is None:
                raise
        time.sleep(_POLL)


def _is_starting(start: Path) -> bool:
    """Whether the process that last took the line's state folder lives.

    It is looked up by its number: trying the lock, even for a moment, could make the engine fail.
    """
    folder = line_folder(start, f"{STATE}/{LOCK}")
    try:
        os.kill(int((folder / STATE / LOCK).read_text()) if folder else 0, 0)
    except (OSError, ValueError):
        return False
    return folder is not None


def _address(start: Path) -> dict[str, str]:
    folder = line_folder(start, f"{STATE}/{ADDRESS}")
    if folder is None:
        msg = (
            f"no engine runs for {start}: start it with `conveyor up`, or name one with --url and "
            "--token (CONVEYOR_URL, CONVEYOR_TOKEN)"
        )
        raise NotReachable(msg)
    file = folder / STATE / ADDRESS
    try:
        told = json.loads(file.read_text())
        return {
            "url": str(told["url"]),
            "token": str(told["token"]),
            "host": str(told.get("host", "")),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Rejected(f"{file} cannot be used ({error}): start the engine again") from error
