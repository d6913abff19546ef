"""How the hooks of the bare repository reach the engine that runs beside them."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from conveyor.errors import Unavailable

FOLLOW_SECONDS = 600.0
"""How long a pusher is kept waiting at most."""

_ADDRESS, _LOCK = "api.json", "engine.lock"

_STARTING, _ABOUT_TO = 15.0, 1.0
"""Seconds that an engine may take to begin, once it has its folder and before."""

_POLL = 0.05
_WAIT = 20
_MAX_ANSWER = 2**20
_OK = 200
_PACE = 0.2
_NONSENSE = "the engine's words make no sense; is it another version?"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The engine whose api.json ({"url", "token"}, mode 0600) lies in `state` while it runs.

    engine.lock names its process there, from before it can be asked.
    """

    state: Path
    url: str

    def await_start(self) -> None:
        """Wait for an engine that begins just now, or is about to, until it can be asked."""
        began = time.monotonic()
        while not (self.state / _ADDRESS).exists():
            patience = _STARTING if self._lives() else _ABOUT_TO
            if time.monotonic() - began > patience:
                return
            time.sleep(_POLL)

    def _lives(self) -> bool:
        """Whether the process that has the state folder is there."""
        try:
            os.kill(int((self.state / _LOCK).read_text()), 0)
        except PermissionError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def tell(self, *, ref: str, before: str, commit: str) -> None:
        """Tell it of a push; raises Unavailable when it does not run."""
        body = {"ref": ref, "before": before.strip("0") and before, "commit": commit}
        self._ask("POST", "/api/v1/notices/git", body=body, timeout=10)

    def progress(self, commit: str, after: int) -> Mapping[str, Any]:
        """Return {"lines": [str], "next": int, "done": bool}; waits up to 20 s for news."""
        path = f"/api/v1/follow/{commit}?after={after}&wait={_WAIT}"
        return self._ask("GET", path, timeout=_WAIT + 10)

    def _ask(
        self, method: str, path: str, *, timeout: float, body: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        url, token = self._address()
        try:
            with urllib3.PoolManager(retries=False) as pool:
                answer = pool.request(
                    method,
                    f"{url}{path}",
                    headers={"Authorization": f"Bearer {token}"},
                    json=body,
                    timeout=timeout,
                    redirect=False,
                    preload_content=False,
                )
                content = answer.read(_MAX_ANSWER)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable("the engine is not running") from error
        if not _OK <= answer.status < _OK + 100:
            raise Unavailable(f"the engine answered {answer.status} to {method} {path}")
        return _object(content)

    def _address(self) -> tuple[str, str]:
        try:
            given = _object((self.state / _ADDRESS).read_bytes())
        except OSError as error:
            raise Unavailable("the engine is not running") from error
        url = str(given.get("url") or self.url).rstrip("/")
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Unavailable(f"{self.state}/api.json names no address: start the engine again")
        return url, str(given.get("token", ""))


def follow(
    engine: Engine, commit: str, *, say: Callable[[str], None], seconds: float = FOLLOW_SECONDS
) -> None:
    """Say what becomes of a commit until the engine is done with it, or time is up."""
    end, after = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        news = engine.progress(commit, after)
        lines, following = news.get("lines", []), news.get("next", after)
        if not isinstance(lines, list) or not isinstance(following, int):
            raise Unavailable(_NONSENSE)
        for line in lines:
            say(str(line))
        if news.get("done"):
            return
        if not lines:
            # The engine does the waiting; this keeps us calm where it does not.
            time.sleep(_PACE)
        after = following
    say("it takes longer; go on with: conveyor status")


def _object(content: bytes) -> Mapping[str, Any]:
    """Return a JSON object; raises Unavailable for anything else."""
    try:
        value = json.loads(content or b"{}")
    except ValueError as error:
        raise Unavailable(_NONSENSE) from error
    if not isinstance(value, dict):
        raise Unavailable(_NONSENSE)
    return value
