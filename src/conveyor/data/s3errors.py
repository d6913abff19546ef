"""Says in our words what an S3 endpoint or the way to it answered."""

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from conveyor.errors import ConveyorError, NotFound, Rejected, Superseded, Unavailable

FAILURES = (BotoCoreError, ClientError, HTTPError, Boto3Error)
"""All that boto3 and the connection below it raise."""

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "405", "MethodNotAllowed"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_TAKEN = _CHANGED | {"409", "ConditionalRequestConflict"}
_DENIED = frozenset({"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_AGAIN = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ExpiredToken", "NoSuchUpload"})
_CLIENT_ERROR = range(400, 500)
_PATIENCE = 429


def _code(error: Exception) -> str:
    return str(error.response["Error"].get("Code", "")) if isinstance(error, ClientError) else ""


def is_missing(error: Exception) -> bool:
    """Whether the endpoint said that there is no such object or version."""
    return _code(error) in _MISSING


def is_taken(error: Exception) -> bool:
    """Whether a conditional put found the key taken."""
    return _code(error) in _TAKEN


def translate(error: Exception, *, where: str, gone: type[NotFound | Superseded]) -> ConveyorError:
    """Return our error for theirs; gone is what a missing object means to the caller."""
    code = _code(error)
    if code in _MISSING:
        remedy = "is not there" if gone is NotFound else "was deleted since it was seen"
        return gone(f"{where} {remedy}")
    if code in _CHANGED:
        return Superseded(f"{where} was overwritten since it was seen")
    if code in _DENIED:
        return Unavailable(
            f"{where}: the endpoint denies access ({code}); check the keys and the bucket's policy"
        )
    if code == "NoSuchBucket":
        return Unavailable(f"{where}: there is no such bucket; create it or correct `bucket`")
    if _is_hopeless(error):
        return Rejected(f"{where}: {error}")
    return Unavailable(f"{where}: {error}", retry_after=_retry_after(error))


def _retry_after(error: Exception) -> float:
    """Return the seconds that an endpoint with too much to do asks for."""
    if not isinstance(error, ClientError):
        return 0.0
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    asked = headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else 0.0


def _is_hopeless(error: Exception) -> bool:
    """Whether the endpoint refused the request itself."""
    if not isinstance(error, ClientError) or _code(error) in _AGAIN:
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    return status in _CLIENT_ERROR and status != _PATIENCE
