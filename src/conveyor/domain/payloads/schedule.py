"""Nominal times of schedules: come, or missed."""

from dataclasses import dataclass

from conveyor.domain.identity import digest
from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class ScheduleFired(Fields):
    """A schedule's nominal time came. schedule is "minute" for the line's own tick, else "retrain".

    tick is RFC 3339 UTC, the nominal time, never the time it was noticed.
    """

    NAME = "schedule.fired"
    schedule: str
    tick: str
    commit: str
    model: str | None = None

    @property
    def subject(self) -> str:
        """The model to retrain, or the schedule's name."""
        return self.model or self.schedule


@dataclass(frozen=True, kw_only=True)
class ScheduleMissed(Fields):
    """Nominal times of a model's schedule passed while nobody looked, and are not made up for.

    ticks are RFC 3339 UTC, oldest first (the newest hundred of them); no station acts on it.
    """

    NAME = "schedule.missed"
    schedule: str
    model: str
    ticks: list[str]
    commit: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


def tick_id(schedule: str, subject: str, tick: str) -> str:
    """Return the identity of a nominal time of a schedule."""
    return digest(schedule, subject, tick)
