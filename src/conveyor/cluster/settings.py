"""Settings of the line's functions on a cluster: one ConfigMap and a few Secrets, as variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from conveyor.errors import Rejected
from conveyor.settings import DeliverySettings, S3Settings, seconds, size
from conveyor.stations.largereads import LARGE

LEASE = 120.0
"""Seconds for which a station holds a delivery: less than the broker goes on trying (205 s)."""

_PORT = 8080
_HIGHEST_PORT = 65_535
_NEEDED = (
    "CONVEYOR_LINE",
    "CONVEYOR_GIT_REMOTE",
    "CONVEYOR_BUCKET",
    "CONVEYOR_BROKER",
    "CONVEYOR_LEDGER",
    "CONVEYOR_KEY_LINE",
)


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """How a function reaches the rest of its line.

    remote and branch are where the line is read; ledger is a database's URL and broker the URL of a
    broker's ingress; cache is a folder for what can be made again; flush is how often a model tells
    of its traffic; patience is how long a model must have had no request before stored ones are
    replayed; large is from how many bytes on an upload is read in a job; token opens the doors for
    outside notices and commands. environment is all that was given, for adapters that read more.
    """

    line: str
    remote: str
    branch: str = "main"
    bucket: S3Settings
    broker: str
    ledger: str = field(repr=False)
    port: int = _PORT
    cache: Path = Path("/tmp/conveyor")  # noqa: S108 -- a pod's own
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    flush: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(minutes=2)
    large: int = LARGE
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> Self:
        """Read PORT, AWS_* and CONVEYOR_LINE, _GIT_REMOTE, _GIT_BRANCH, _BUCKET, _S3_ENDPOINT,
        _BROKER, _LEDGER, _KEY_LINE, _CACHE, _LARGE (bytes), and in seconds _OUTBOX_AFTER, _LEASE,
        _FLUSH and _PATIENCE. Raises Rejected naming what is missing or wrong.
        """
        if missing := [name for name in _NEEDED if not environment.get(name)]:
            msg = f"{', '.join(missing)} must be set: see the ConfigMap and Secrets of the line"
            raise Rejected(msg)
        return cls(
            line=environment["CONVEYOR_LINE"],
            remote=environment["CONVEYOR_GIT_REMOTE"],
            branch=environment.get("CONVEYOR_GIT_BRANCH") or "main",
            bucket=S3Settings.from_env(environment, bucket=_bucket(environment["CONVEYOR_BUCKET"])),
            broker=_address(environment, "CONVEYOR_BROKER"),
            ledger=environment["CONVEYOR_LEDGER"],
            port=_port(environment),
            cache=Path(environment.get("CONVEYOR_CACHE") or "/tmp/conveyor"),  # noqa: S108
            delivery=DeliverySettings(
                lease=seconds(environment, "CONVEYOR_LEASE", LEASE),
                outbox_after=seconds(environment, "CONVEYOR_OUTBOX_AFTER", 120),
            ),
            flush=seconds(environment, "CONVEYOR_FLUSH", 10),
            patience=seconds(environment, "CONVEYOR_PATIENCE", 120),
            large=size(environment, "CONVEYOR_LARGE", LARGE),
            environment=dict(environment),
        )

    @property
    def token(self) -> str:
        """The token of the doors and the API; raises Rejected where CONVEYOR_TOKEN is empty."""
        token = self.environment.get("CONVEYOR_TOKEN", "")
        if not token:
            msg = "CONVEYOR_TOKEN must be set: without it anybody could send notices and commands"
            raise Rejected(msg)
        return token


def _bucket(given: str) -> str:
    """Return the name of a bucket given as such or as s3://NAME."""
    name = given.removeprefix("s3://").strip("/")
    if not name or "/" in name:
        msg = f"CONVEYOR_BUCKET is {given!r}, expected the name of a bucket"
        raise Rejected(msg)
    return name


def _address(environment: Mapping[str, str], name: str) -> str:
    address = environment[name]
    if not address.startswith(("http://", "https://")):
        msg = f"{name} is {address!r}, expected http://HOST/PATH"
        raise Rejected(msg)
    return address


def _port(environment: Mapping[str, str]) -> int:
    text = environment.get("PORT") or str(_PORT)
    if not text.isdecimal() or not 0 <= int(text) <= _HIGHEST_PORT:
        msg = f"PORT is {text!r}, expected a number up to {_HIGHEST_PORT}"
        raise Rejected(msg)
    return int(text)
