"""Jobs ended."""

from dataclasses import dataclass

from conveyor.domain.identity import digest
from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class JobFinished(Fields):
    """A job ended; its result lies in the store under runs/<key>/. job is its kind.

    state: "succeeded" or how it failed. owner is the model it worked for; of a large read it is
    `NAME.ID` or `NAME.model.ID` (the data set or model, and something of the upload's own).
    """

    NAME = "job.finished"
    job: str
    key: str
    state: str
    owner: str

    @property
    def subject(self) -> str:
        """The run's key."""
        return self.key


def job_id(kind: str, key: str) -> str:
    """Return the identity of a job's end."""
    return digest(kind, key)
