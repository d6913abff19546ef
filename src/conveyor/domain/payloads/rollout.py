"""Rollouts: asked for by a person, moved by the judge."""

from dataclasses import dataclass

from conveyor.domain.payloads.fields import Fields


@dataclass(frozen=True, kw_only=True)
class RolloutRequested(Fields):
    """A person asks the judge to act. action: promote, pause, resume, abort or rollback.

    release names the release to go back to (rollback only); command is the request's unique id.
    """

    NAME = "rollout.requested"
    model: str
    action: str
    command: str
    by: str
    reason: str | None = None
    release: str | None = None

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class _RolloutMoved(Fields):
    """What every move of a rollout says; split maps release digests to percent."""

    model: str
    rollout: str
    generation: int
    release: str
    version: str
    stable: str
    state: str
    split: dict[str, int]
    reason: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model


@dataclass(frozen=True, kw_only=True)
class RolloutAdvanced(_RolloutMoved):
    """The candidate gets the next share of the traffic, or the rollout was paused or resumed."""

    NAME = "rollout.advanced"


@dataclass(frozen=True, kw_only=True)
class RolloutPromoted(_RolloutMoved):
    """The candidate is the stable release now."""

    NAME = "rollout.promoted"


@dataclass(frozen=True, kw_only=True)
class RolloutRolledBack(_RolloutMoved):
    """The stable release has all traffic again; state says rolled_back, aborted or superseded."""

    NAME = "rollout.rolledback"
