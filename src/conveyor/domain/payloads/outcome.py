"""True outcomes of predictions became known."""

from dataclasses import dataclass

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class OutcomeObserved(Fields):
    """The true outcome of a prediction became known."""

    NAME = "outcome.observed"
    prediction: str
    outcome: str | float
    model: str | None = None

    @property
    def subject(self) -> str:
        """The prediction id."""
        return self.prediction
