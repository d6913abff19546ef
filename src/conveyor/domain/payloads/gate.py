"""What a candidate was scored against is out of date."""

from dataclasses import dataclass

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class GateStale(Fields):
    """The stable release changed since a waiting candidate was scored; convert is asked to score it
    again.

    run is the convert run that scored it.
    """

    NAME = "gate.stale"
    model: str
    release: str
    stable: str
    run: str
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model
