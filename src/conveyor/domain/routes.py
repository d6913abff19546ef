"""Who handles which event: the trigger table of the line, the same on both engines.

A trigger matches by equality of attributes alone, which every broker class can do. To find the code
of an event type: look for its payload here; the station's name is its module in
`conveyor.stations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from conveyor.domain.events import Event
from conveyor.domain.payloads import (
    DatasetUploaded,
    DatasetVersioned,
    GateStale,
    InferenceObserved,
    JobFinished,
    ModelConverted,
    ModelTrained,
    ModelUploaded,
    ModelVersioned,
    NoticeReceived,
    OutcomeObserved,
    ReleaseCreated,
    RolloutRequested,
    ScheduleFired,
    SourcePushed,
)

MINUTE = "minute"
"""The line's own schedule: wakes judge and reconcile."""

RETRAIN = "retrain"
"""A model's schedule from conveyor.yaml."""


@dataclass(frozen=True)
class Trigger:
    """One subscription: events whose type and extensions equal these wake the station."""

    station: str
    type: str
    extensions: Mapping[str, str] = field(default_factory=dict)

    def matches(self, event: Event) -> bool:
        """Whether the event wakes the station."""
        return event.type == self.type and all(
            event.extensions.get(name) == value for name, value in self.extensions.items()
        )


TRIGGERS = (
    Trigger("receive", NoticeReceived.event_type()),
    Trigger("version", DatasetUploaded.event_type()),
    Trigger("version", ModelUploaded.event_type()),
    Trigger("version", JobFinished.event_type(), {"job": "version"}),
    Trigger("build", SourcePushed.event_type()),
    Trigger("build", DatasetVersioned.event_type()),
    Trigger("build", ScheduleFired.event_type(), {"schedule": RETRAIN}),
    Trigger("build", JobFinished.event_type(), {"job": "train"}),
    Trigger("convert", ModelTrained.event_type()),
    Trigger("convert", ModelVersioned.event_type()),
    Trigger("convert", GateStale.event_type()),
    Trigger("convert", JobFinished.event_type(), {"job": "convert"}),
    Trigger("release", ModelConverted.event_type()),
    Trigger("release", SourcePushed.event_type()),
    Trigger("judge", ReleaseCreated.event_type()),
    Trigger("judge", RolloutRequested.event_type()),
    Trigger("judge", InferenceObserved.event_type()),
    Trigger("judge", OutcomeObserved.event_type()),
    Trigger("judge", ScheduleFired.event_type(), {"schedule": MINUTE}),
    Trigger("reconcile", ScheduleFired.event_type(), {"schedule": MINUTE}),
    Trigger("reconcile", SourcePushed.event_type()),
)

OUTSIDE = (
    DatasetUploaded.event_type(),
    ModelUploaded.event_type(),
    SourcePushed.event_type(),
    ScheduleFired.event_type(),
    OutcomeObserved.event_type(),
)
"""Types that only `receive` makes, from what it saw itself outside."""


def consumers(event: Event) -> tuple[str, ...]:
    """Return the stations that the event wakes, each once, in the table's order."""
    return tuple(dict.fromkeys(trigger.station for trigger in TRIGGERS if trigger.matches(event)))
