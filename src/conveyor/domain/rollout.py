"""The state machine that moves traffic from the stable release to a candidate."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from conveyor.domain.traffic import Traffic


class State(StrEnum):
    """Where a rollout is; the last four are final."""

    PENDING = "pending"
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    ABORTED = "aborted"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self not in {State.PENDING, State.CANARY}


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout. id is sha256(model, candidate digest, cause); generation counts its moves.

    stable is "" for a model's first release; split is what traffic should be; applied says whether the services
    were told; step indexes the policy's steps (-1 before the first); stepped is when the current step began.
    """

    id: str
    model: str
    candidate: str
    stable: str
    state: State
    generation: int
    step: int
    split: Traffic
    opened: datetime
    stepped: datetime
    applied: bool = False
    paused: bool = False
    reason: str = ""
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Why a rollout moved (or did not): stored with the evidence it was made from.

    by is "judge" or a person's name.
    """

    rollout: str
    generation: int
    outcome: str
    reason: str
    by: str
    at: datetime
    evidence: dict[str, Any] = field(default_factory=dict)
