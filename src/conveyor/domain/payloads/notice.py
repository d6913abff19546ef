"""What was heard from outside, before anyone looked at it."""

from dataclasses import dataclass
from typing import Any

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class NoticeReceived(Fields):
    """Something was heard from outside and stored before anyone looked at it.

    origin names the door ("cloudevents", "git", "s3"); notice is the CloudEvents type or kind it
    came with; body is what it said. It is a hint: receive looks for itself at what it names.
    """

    NAME = "notice.received"
    origin: str
    notice: str
    body: dict[str, Any]

    @property
    def subject(self) -> str:
        """The kind of notice."""
        return self.notice
