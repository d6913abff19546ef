"""What a revision's traffic looked like, in counts that can be added up and are never counted
twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

LATENCY_BOUNDS_MS = (
    1,
    2,
    3,
    5,
    7,
    10,
    15,
    20,
    30,
    50,
    70,
    100,
    150,
    200,
    300,
    500,
    700,
    1000,
    2000,
    5000,
    10000,
)
"""Upper bounds of the latency histogram's buckets; one more bucket has what is above the last."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Counts over requests answered by one revision. Adding two gives the counts over both.

    errors: answered 5xx or not at all; nans: answered with a NaN or infinite output; latency: one
    count per bucket of LATENCY_BOUNDS_MS, of successful answers; labels: predicted label -> count
    (regressors: the decile of the sample's range, "d0".."d9"); agreed of compared: replayed
    requests with the same answer as stable's.
    """

    requests: int = 0
    errors: int = 0
    nans: int = 0
    latency: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_MS) + 1)
    labels: Mapping[str, int] = field(default_factory=dict)
    compared: int = 0
    agreed: int = 0

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            nans=self.nans + other.nans,
            latency=tuple(a + b for a, b in zip(self.latency, other.latency, strict=True)),
            labels=dict(Counter(self.labels) + Counter(other.labels)),
            compared=self.compared + other.compared,
            agreed=self.agreed + other.agreed,
        )

    def to_summary(self) -> dict[str, Any]:
        """Return the JSON object of an `inference.observed` event."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "nans": self.nans,
            "latency": list(self.latency),
            "labels": dict(self.labels),
            "compared": self.compared,
            "agreed": self.agreed,
        }

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> Self:
        """Read a summary; raises ValueError when a count is missing, negative or of the wrong
        shape.
        """
        counts = {
            name: summary[name] for name in ("requests", "errors", "nans", "compared", "agreed")
        }
        latency, labels = tuple(summary["latency"]), dict(summary["labels"])
        numbers = [*counts.values(), *latency, *labels.values()]
        if len(latency) != len(LATENCY_BOUNDS_MS) + 1 or not all(
            isinstance(number, int) and number >= 0 for number in numbers
        ):
            msg = f"not a traffic summary: {summary!r}"
            raise ValueError(msg)
        return cls(**counts, latency=latency, labels=labels)


def total(parts: Iterable[Evidence]) -> Evidence:
    """Return the sum of all parts."""
    return sum(parts, Evidence())
