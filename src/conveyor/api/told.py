"""Takes what an S3 endpoint tells: stores what may complete an upload, acknowledges all else."""

from typing import Protocol

from conveyor.api.doors import Door
from conveyor.codec.strict import parse
from conveyor.domain.line import Line
from conveyor.domain.payloads import DatasetUploaded
from conveyor.errors import ConveyorError
from conveyor.eventing.sources import bucket, s3
from conveyor.ports import Objects

ORIGIN = "s3"
"""The door that these notices come through."""


class Porch(Protocol):
    """What is asked of whoever takes the notices."""

    @property
    def door(self) -> Door:
        """Where notices go in."""
        ...

    @property
    def objects(self) -> Objects:
        """The line's bucket."""
        ...

    def line(self) -> Line:
        """Return the line as declared now; raises NotFound before a push."""
        ...


def take(porch: Porch, body: bytes) -> dict[str, int]:
    """Store what a notification tells of new objects in the line's bucket.

    Returns how many notices were new, known and none of ours. Raises InvalidEvent where the body is
    no JSON; what is JSON is never refused, for the endpoint would tell nothing more.
    """
    told = s3.read(parse(body), bucket=porch.objects.name)
    wanted = [each for each in told.notices if _is_wanted(porch, each.key)]
    kind = DatasetUploaded.event_type()
    door = porch.door
    new = sum(
        door.enter(door.notice(ORIGIN, kind, each.body, identity=each.identity)) for each in wanted
    )
    ignored = told.ignored + len(told.notices) - len(wanted)
    return {"accepted": new, "known": len(wanted) - new, "ignored": ignored}


def _is_wanted(porch: Porch, key: str) -> bool:
    """Whether an object may complete an upload; one that cannot be read is kept, to be seen."""
    line = _line(porch)
    return not key or line is None or bucket.may_complete(line, key)


def _line(porch: Porch) -> Line | None:
    try:
        return porch.line()
    except ConveyorError:
        return None  # broken or not pushed yet: whatever is told is looked at once it is there
