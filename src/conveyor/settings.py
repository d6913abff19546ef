"""Settings of the entry points: frozen, read once from the environment, never at import."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from conveyor.errors import Rejected

DEFAULT_PORT = 7070


def seconds(environment: Mapping[str, str], name: str, default: float) -> timedelta:
    """Read a positive number of seconds; raises Rejected naming the variable."""
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if value <= 0:
        msg = f"{name} must be a positive number of seconds, got {text!r}"
        raise Rejected(msg)
    return timedelta(seconds=value)


def size(environment: Mapping[str, str], name: str, default: int) -> int:
    """Read a number of bytes, from 1 on; raises Rejected naming the variable."""
    text = environment.get(name, "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        msg = f"{name} must be a whole number of bytes, got {text!r}"
        raise Rejected(msg)
    return int(text) if text else default


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """How to reach an S3 endpoint; credentials None: boto3's own chain. bucket names an existing
    bucket.
    """

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environment: Mapping[str, str], *, bucket: str) -> Self:
        """Read CONVEYOR_S3_ENDPOINT, and the usual AWS_* variables."""
        return cls(
            bucket=bucket,
            endpoint=environment.get("CONVEYOR_S3_ENDPOINT")
            or environment.get("AWS_ENDPOINT_URL_S3"),
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
            access_key=environment.get("AWS_ACCESS_KEY_ID"),
            secret_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            token=environment.get("AWS_SESSION_TOKEN"),
        )


@dataclass(frozen=True, kw_only=True)
class DeliverySettings:
    """Knative's delivery rules: attempts after the first, exponential back-off from `delay`.

    Retry-After of a 429 or 503 is heeded up to retry_after_max. budget is how many retries a
    station may get for each first attempt, besides budget_least a second: the others wait.
    """

    retries: int = 10
    delay: timedelta = timedelta(milliseconds=200)
    ceiling: timedelta = timedelta(seconds=30)
    retry_after_max: timedelta = timedelta(minutes=2)
    budget: float = 0.1
    budget_least: float = 10.0
    lease: timedelta = timedelta(minutes=2)
    outbox_after: timedelta = timedelta(minutes=2)
