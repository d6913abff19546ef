"""Every error Conveyor raises on purpose, by what the caller should do about it.

ConveyorError
|-- Rejected              never retry: 422 to a broker, exit 1 on the command line
|   |-- InvalidEvent      not a CloudEvent we accept: 400
|   |-- Unauthorized      missing or wrong credential or signature: 401
|   |-- InvalidLine       conveyor.yaml, dvc.yaml or a schema is wrong; says file, line, remedy
|   |-- NotFound          the thing named does not exist
|   |-- Conflict          someone else holds what was asked for, or it changed meanwhile
|   `-- Superseded        a newer upload, commit or release made this work pointless
`-- Unavailable           retry later: 503 to a broker
    `-- Busy              in progress elsewhere: 409 to a broker, tried again
"""


class ConveyorError(Exception):
    """The root of all errors raised on purpose."""


class Rejected(ConveyorError):
    """Trying again with the same input cannot succeed."""


class InvalidEvent(Rejected):
    """The message is not a CloudEvent that this door accepts."""


class Unauthorized(Rejected):
    """The sender did not prove who it is."""


class InvalidLine(Rejected):
    """A file of the user's line is wrong."""


class NotFound(Rejected):
    """The thing named does not exist."""


class Conflict(Rejected):
    """The thing is held by someone else or changed since it was read."""


class Superseded(Rejected):
    """Something newer made this work pointless."""


class Unavailable(ConveyorError):
    """A part we depend on did not answer; trying again may succeed.

    retry_after is how many seconds that part asked to be left alone, 0 where it did not say.
    """

    def __init__(self, *message: object, retry_after: float = 0.0) -> None:
        super().__init__(*message)
        self.retry_after = retry_after


class Busy(Unavailable):
    """The same work is in progress elsewhere."""
