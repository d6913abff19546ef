"""The data of every event type, one frozen class each; references only, never contents.

The type `dev.conveyor.<noun>.<verb>.v1` is a class in `conveyor.domain.payloads.<noun>`; `TYPES`
maps each to its class, `eventing/schemas/` holds the JSON Schema of each.
"""

from conveyor.domain.payloads.dataset import (
    DatasetRejected,
    DatasetUploaded,
    DatasetVersioned,
    upload_id,
)
from conveyor.domain.payloads.fields import Fields
from conveyor.domain.payloads.gate import GateStale
from conveyor.domain.payloads.inference import InferenceObserved
from conveyor.domain.payloads.job import JobFinished, job_id
from conveyor.domain.payloads.model import (
    ModelConverted,
    ModelRejected,
    ModelTrained,
    ModelUploaded,
    ModelVersioned,
)
from conveyor.domain.payloads.notice import NoticeReceived
from conveyor.domain.payloads.outcome import OutcomeObserved
from conveyor.domain.payloads.release import ReleaseCreated
from conveyor.domain.payloads.rollout import (
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRequested,
    RolloutRolledBack,
)
from conveyor.domain.payloads.schedule import ScheduleFired, ScheduleMissed, tick_id
from conveyor.domain.payloads.source import SourcePushed, push_id

__all__ = [
    "TYPES",
    "DatasetRejected",
    "DatasetUploaded",
    "DatasetVersioned",
    "GateStale",
    "InferenceObserved",
    "JobFinished",
    "ModelConverted",
    "ModelRejected",
    "ModelTrained",
    "ModelUploaded",
    "ModelVersioned",
    "NoticeReceived",
    "OutcomeObserved",
    "ReleaseCreated",
    "RolloutAdvanced",
    "RolloutPromoted",
    "RolloutRequested",
    "RolloutRolledBack",
    "ScheduleFired",
    "ScheduleMissed",
    "SourcePushed",
    "job_id",
    "push_id",
    "tick_id",
    "upload_id",
]

EVERY: tuple[type[Fields], ...] = (
    NoticeReceived,
    DatasetUploaded,
    ModelUploaded,
    SourcePushed,
    ScheduleFired,
    ScheduleMissed,
    JobFinished,
    OutcomeObserved,
    DatasetVersioned,
    DatasetRejected,
    ModelVersioned,
    ModelTrained,
    ModelRejected,
    ModelConverted,
    ReleaseCreated,
    GateStale,
    RolloutRequested,
    RolloutAdvanced,
    RolloutPromoted,
    RolloutRolledBack,
    InferenceObserved,
)

TYPES = {payload.event_type(): payload for payload in EVERY}
