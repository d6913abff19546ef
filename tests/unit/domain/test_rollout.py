"""The rollout's transitions, whatever order they are asked for in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conveyor.domain.line import RolloutPolicy
from conveyor.domain.rollout import (
    JUDGE,
    State,
    abort,
    advance,
    go_back,
    has_next_step,
    open_rollout,
    pause,
    promote,
    resume,
    roll_back,
    supersede,
)
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import FIRST, Release
from conveyor.errors import Conflict

NOW = datetime(2026, 11, 21, tzinfo=UTC)
POLICY = RolloutPolicy(steps=(5, 25, 50))
NEW = Release(model="wine", version=FIRST, digest="new", onnx="o", commit="c")


def opened(stable="old"):
    split = Traffic(((stable, 100),) if stable else ())
    return open_rollout(NEW, stable=stable, cause="event", at=NOW, split=split)


def test_a_rollout_walks_through_its_steps_and_then_only_promotion_follows():
    rollout, percents = opened(), []
    while has_next_step(rollout, POLICY):
        rollout = advance(rollout, POLICY, at=NOW, reason="")
        percents.append(rollout.split.as_dict())
    assert [split["new"] for split in percents] == [5, 25, 50]
    assert promote(rollout, by=JUDGE, reason="").split == Traffic((("new", 100),))
    with pytest.raises(Conflict, match="no step after 3"):
        advance(rollout, POLICY, at=NOW, reason="")


def test_a_first_release_has_one_step_of_everything():
    rollout = advance(opened(stable=""), POLICY, at=NOW, reason="")
    assert rollout.split == Traffic((("new", 100),))
    assert not has_next_step(rollout, POLICY)


def test_a_superseded_first_release_serves_until_its_successor_does():
    rollout = advance(opened(stable=""), POLICY, at=NOW, reason="")
    assert supersede(rollout, reason="").split == rollout.split
    assert roll_back(rollout, by=JUDGE, reason="").split == Traffic()


def test_going_back_is_decided_when_it_opens():
    rollout = go_back(NEW, stable="old", cause="command", at=NOW)
    assert (rollout.state, rollout.applied) == (State.PROMOTED, False)
    assert rollout.split == Traffic((("new", 100),))


def test_a_step_begins_after_the_evidence_that_ended_the_one_before():
    assert advance(opened(), POLICY, at=NOW, reason="").stepped > NOW


def test_resuming_returns_to_the_steps_own_split():
    rollout = advance(opened(), POLICY, at=NOW, reason="")
    held = pause(rollout, by=JUDGE, reason="changed", split=Traffic((("old", 100),)))
    again = resume(held, POLICY, by="ada", at=NOW, reason="")
    assert (again.split, again.step, again.paused) == (rollout.split, rollout.step, False)


class RolloutMachine(RuleBasedStateMachine):
    """Any sequence of commands by the judge or a person; refused ones change nothing."""

    @initialize(stable=st.sampled_from(["", "old"]))
    def begin(self, stable):
        self.rollout, self.now = opened(stable), NOW
        self.ends = 0

    def attempt(self, by, move):
        before = self.rollout
        self.now += timedelta(minutes=1)
        if before.state.is_final or (before.paused and by == JUDGE):
            with pytest.raises(Conflict):
                move()
            return
        try:
            self.rollout = move()
        except Conflict:
            return
        self.ends += self.rollout.state.is_final
        assert self.rollout.generation == before.generation + 1
        assert not self.rollout.applied

    @rule()
    def advance(self):
        self.attempt(JUDGE, lambda: advance(self.rollout, POLICY, at=self.now, reason="r"))

    @rule()
    def supersede(self):
        self.attempt(JUDGE, lambda: supersede(self.rollout, reason="r"))

    @rule(by=st.sampled_from([JUDGE, "ada"]), move=st.sampled_from([promote, roll_back, abort]))
    def end(self, by, move):
        self.attempt(by, lambda: move(self.rollout, by=by, reason="r"))

    @rule(by=st.sampled_from([JUDGE, "ada"]))
    def pause(self, by):
        self.attempt(by, lambda: pause(self.rollout, by=by, reason="r"))

    @rule(by=st.sampled_from([JUDGE, "ada"]))
    def resume(self, by):
        self.attempt(by, lambda: resume(self.rollout, POLICY, by=by, at=self.now, reason="r"))

    @invariant()
    def one_end_and_all_traffic_is_shared_out(self):
        assert self.ends == self.rollout.state.is_final
        assert sum(self.rollout.split.as_dict().values()) in {0, 100}
        assert self.rollout.split.shares or not self.rollout.stable
        assert not (self.rollout.paused and self.rollout.state.is_final)
        assert self.rollout.step < 3
        assert set(self.rollout.split.as_dict()) <= {"old", "new"}


TestRolloutMachine = RolloutMachine.TestCase
