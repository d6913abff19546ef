"""The line's repository moved."""

from dataclasses import dataclass

from conveyor.domain.identity import digest
from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class SourcePushed(Fields):
    """The branch of the line moved from `before` ("" at the first push) to `commit`."""

    NAME = "source.pushed"
    repository: str
    ref: str
    before: str
    commit: str

    @property
    def subject(self) -> str:
        """The ref, e.g. refs/heads/main."""
        return self.ref


def push_id(repository: str, ref: str, commit: str) -> str:
    """Return the identity of a branch being at a commit."""
    return digest(repository, ref, commit)
