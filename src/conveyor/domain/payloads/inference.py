"""Models served: summaries of their traffic."""

from dataclasses import dataclass
from typing import Any

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class InferenceObserved(Fields):
    """One window of one instance's traffic summary (see `conveyor.domain.evidence`); counted once
    per key.
    """

    NAME = "inference.observed"
    model: str
    revision: str
    instance: str
    window: int
    summary: dict[str, Any]

    @property
    def subject(self) -> str:
        """The release digest that served."""
        return self.revision
