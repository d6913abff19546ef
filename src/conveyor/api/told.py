"""Takes what an S3 endpoint tells: stores what may complete an upload, acknowledges all else."""

from conveyor.api.desk import Desk
from conveyor.codec.strict import parse
from conveyor.domain.line import Line
from conveyor.domain.payloads import DatasetUploaded
from conveyor.errors import ConveyorError
from conveyor.eventing.sources import bucket, s3

ORIGIN = "s3"
"""The door that these notices come through."""


def take(desk: Desk, body: bytes) -> dict[str, int]:
    """Store what a notification tells of new objects in the line's bucket.

    Returns how many notices were new, known and none of ours. Raises InvalidEvent where the body is
    no JSON; what is JSON is never refused, for the endpoint would tell nothing more.
    """
    told = s3.read(parse(body), bucket=desk.objects.name)
    wanted = [each for each in told.notices if _is_wanted(desk, each.key)]
    kind = DatasetUploaded.event_type()
    door = desk.door
    new = sum(
        door.enter(door.notice(ORIGIN, kind, each.body, identity=each.identity)) for each in wanted
    )
    ignored = told.ignored + len(told.notices) - len(wanted)
    return {"accepted": new, "known": len(wanted) - new, "ignored": ignored}


def _is_wanted(desk: Desk, key: str) -> bool:
    """Whether an object may complete an upload; one that cannot be read is kept, to be seen."""
    line = _line(desk)
    return not key or line is None or bucket.may_complete(line, key)


def _line(desk: Desk) -> Line | None:
    try:
        return desk.line()
    except ConveyorError:
        return None  # broken or not pushed yet: whatever is told is looked at once it is there
