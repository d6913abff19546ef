"""What every store of rollouts promises, in memory and in SQL."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from servers.postgres import ledger_url

from conveyor.domain.rollout import Decision, Rollout, State
from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, NotFound
from conveyor.ledger.database import open_ledger
from conveyor.ledger.memory import MemoryRollouts
from conveyor.ledger.rollouts import SqlRollouts

START = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def rollouts(request, tmp_path) -> Iterator[SqlRollouts | MemoryRollouts]:
    if request.param == "memory":
        yield MemoryRollouts()
        return
    ledger = open_ledger(ledger_url(request, tmp_path))
    yield SqlRollouts(ledger)
    ledger.close()


def opened(name: str = "r1", model: str = "wine") -> Rollout:
    return Rollout(
        id=name,
        model=model,
        candidate="new",
        stable="old",
        state=State.PENDING,
        generation=0,
        step=-1,
        split=Traffic((("old", 100),)),
        opened=START,
        stepped=START,
        cause="event",
    )


def moved(rollout: Rollout, state: State = State.CANARY, **changes: object) -> Rollout:
    return replace(
        rollout, state=state, generation=rollout.generation + 1, applied=False, **changes
    )


def decision(rollout: Rollout, outcome: str = "advance") -> Decision:
    return Decision(
        rollout=rollout.id,
        generation=rollout.generation,
        outcome=outcome,
        reason="enough evidence",
        by="judge",
        at=START + timedelta(seconds=rollout.generation),
        evidence={"new": {"requests": 10}},
    )


def insert(rollouts, rollout: Rollout) -> Rollout:
    return rollouts.insert(rollout, decision(rollout, "open"))


def move(rollouts, rollout: Rollout) -> Rollout:
    rollouts.move(rollout, decision(rollout))
    return rollout


def end(rollouts, rollout: Rollout, state: State = State.PROMOTED) -> Rollout:
    final = move(rollouts, moved(rollout, state))
    rollouts.mark_applied(final)
    return replace(final, applied=True)


def test_a_rollout_comes_back_unchanged(rollouts):
    rollout = insert(rollouts, replace(opened(), paused=True, reason="ü"))
    assert rollouts.get("r1") == rollout == rollouts.current("wine")


def test_a_model_without_rollout_has_no_current_one(rollouts):
    insert(rollouts, opened())
    assert rollouts.current("sentiment") is None


def test_an_unknown_rollout_is_not_found(rollouts):
    with pytest.raises(NotFound, match="there is no rollout 'r9'"):
        rollouts.get("r9")


def test_inserting_twice_returns_what_is_there(rollouts):
    canary = move(rollouts, moved(insert(rollouts, opened())))
    assert insert(rollouts, opened()) == canary
    assert len(rollouts.history()) == 1


def test_a_model_has_one_open_rollout(rollouts):
    insert(rollouts, opened())
    with pytest.raises(Conflict, match="wine has an open rollout"):
        insert(rollouts, opened("r2"))
    assert [rollout.id for rollout, _ in rollouts.history()] == ["r1"]


def test_models_do_not_block_each_other(rollouts):
    both = (insert(rollouts, opened("r1", "wine")), insert(rollouts, opened("r2", "apple")))
    assert rollouts.open_all() == (both[1], both[0])


def test_the_next_one_may_open_after_the_last_ended(rollouts):
    end(rollouts, insert(rollouts, opened()))
    assert insert(rollouts, opened("r2")) == rollouts.current("wine")


def test_of_sixteen_opened_at_once_exactly_one_wins(rollouts):
    together = threading.Barrier(16)

    def attempt(number: int) -> bool:
        together.wait()
        try:
            insert(rollouts, opened(f"r{number}"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(attempt, range(16))).count(True) == 1


def test_a_move_stores_the_next_generation(rollouts):
    split = Traffic((("old", 95), ("new", 5)))
    canary = move(rollouts, moved(insert(rollouts, opened()), split=split, step=0))
    assert rollouts.get("r1") == canary


@pytest.mark.parametrize("generation", [0, 1, 3])
def test_a_move_from_another_generation_conflicts(rollouts, generation):
    move(rollouts, moved(insert(rollouts, opened())))
    wrong = replace(opened(), generation=generation, reason="from elsewhere")
    with pytest.raises(Conflict, match="rollout r1 of wine is at generation 1"):
        rollouts.move(wrong, decision(wrong))
    assert rollouts.get("r1").reason == ""


def test_of_sixteen_moves_at_once_exactly_one_wins(rollouts):
    first = insert(rollouts, opened())
    together = threading.Barrier(16)

    def attempt(number: int) -> bool:
        together.wait()
        try:
            move(rollouts, moved(first, reason=f"move {number}"))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(attempt, range(16))).count(True) == 1
    assert len(rollouts.history()[0][1]) == 2


def test_no_move_can_open_a_second_rollout(rollouts):
    ended = end(rollouts, insert(rollouts, opened()))
    following = insert(rollouts, opened("r2"))
    with pytest.raises(Conflict, match="wine has an open rollout"):
        move(rollouts, moved(ended, State.CANARY))
    assert (rollouts.get("r1"), rollouts.current("wine")) == (ended, following)


def test_repeating_a_move_is_success_and_decides_once(rollouts):
    canary = moved(insert(rollouts, opened()))
    move(rollouts, canary)
    rollouts.mark_applied(canary)
    move(rollouts, canary)
    assert rollouts.get("r1").applied
    assert rollouts.history()[0][1] == (decision(opened(), "open"), decision(canary))


def test_moving_what_was_never_inserted_is_not_found(rollouts):
    with pytest.raises(NotFound):
        move(rollouts, moved(opened()))


def test_a_generation_is_marked_applied(rollouts):
    rollout = insert(rollouts, opened())
    rollouts.mark_applied(rollout)
    assert rollouts.get("r1").applied


def test_news_of_an_older_generation_does_not_mark_the_newer_one(rollouts):
    rollout = insert(rollouts, opened())
    move(rollouts, moved(rollout))
    rollouts.mark_applied(rollout)
    assert not rollouts.get("r1").applied


def test_marking_an_unknown_rollout_is_not_found(rollouts):
    with pytest.raises(NotFound):
        rollouts.mark_applied(opened())


def test_a_final_rollout_stays_current_until_it_is_applied(rollouts):
    final = move(rollouts, moved(insert(rollouts, opened()), State.ROLLED_BACK))
    waiting = rollouts.current("wine")
    rollouts.mark_applied(final)
    assert (waiting, rollouts.current("wine"), rollouts.open_all()) == (final, None, ())


def test_an_unapplied_end_comes_before_the_rollout_that_followed_it(rollouts):
    final = move(rollouts, moved(insert(rollouts, opened()), State.SUPERSEDED))
    following = insert(rollouts, opened("r2"))
    before = rollouts.current("wine")
    rollouts.mark_applied(final)
    assert (before, rollouts.current("wine")) == (final, following)


def test_history_has_the_newest_first_with_its_decisions_in_order(rollouts):
    first = insert(rollouts, opened())
    final = end(rollouts, first)
    second = insert(rollouts, opened("r2"))
    insert(rollouts, opened("r3", "apple"))
    assert rollouts.history("wine") == (
        (second, (decision(second, "open"),)),
        (final, (decision(first, "open"), decision(final))),
    )
    assert [rollout.id for rollout, _ in rollouts.history()] == ["r3", "r2", "r1"]
