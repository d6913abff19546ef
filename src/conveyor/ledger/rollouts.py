"""Rollouts in SQL: every move is one conditional UPDATE on the generation."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from conveyor.domain.rollout import Decision, Rollout, State
from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, ConveyorError, NotFound
from conveyor.ledger import schema
from conveyor.ledger.transactions import Ledger

_table = schema.rollout
_unfinished = sa.or_(schema.IS_UNDER_WAY, _table.c.applied.is_(sa.false()))


class SqlRollouts:
    """Implements ports.Rollouts on an open ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def current(self, model: str) -> Rollout | None:
        """Return the model's oldest rollout that is open or not yet applied, if any."""
        found = self._select(_unfinished, _table.c.model == model)
        return found[0] if found else None

    def open_all(self) -> tuple[Rollout, ...]:
        """Return `current` of every model that has one, by model."""
        found = {rollout.model: rollout for rollout in reversed(self._select(_unfinished))}
        return tuple(found[model] for model in sorted(found))

    def get(self, rollout: str) -> Rollout:
        """Return a rollout by id; raises NotFound."""
        return self._ledger.read(lambda connection: _get(connection, rollout))

    def insert(self, rollout: Rollout, decision: Decision) -> Rollout:
        """Store a new one, or return what is there; raises Conflict while another one is open."""

        def work(connection: sa.Connection) -> Rollout | ConveyorError:
            there = connection.execute(sa.select(_table).where(_table.c.id == rollout.id)).first()
            if there is not None:
                return _read(there)
            other = sa.select(_table.c.id).where(
                schema.IS_UNDER_WAY, _table.c.model == rollout.model
            )
            if not rollout.state.is_final and (found := connection.execute(other).scalar()):
                return _occupied(rollout, found)
            connection.execute(sa.insert(_table).values(**_row(rollout)))
            _decide(connection, decision)
            return rollout

        return self._attempt(work, rollout)

    def move(self, rollout: Rollout, decision: Decision) -> None:
        """Store the next generation, or find it stored; raises Conflict at any other."""
        changes = {
            name: value for name, value in _row(rollout).items() if name not in {"id", "model"}
        }
        swap = (
            sa.update(_table)
            .where(_table.c.id == rollout.id, _table.c.generation == rollout.generation - 1)
            .values(**changes)
        )

        def work(connection: sa.Connection) -> Rollout | ConveyorError:
            if connection.execute(swap).rowcount:
                _decide(connection, decision)
                return rollout
            stored = _get(connection, rollout.id)
            return stored if repeats(stored, rollout) else outdated(stored, rollout)

        self._attempt(work, rollout)

    def mark_applied(self, rollout: Rollout) -> None:
        """Note that the services were told of this generation, if it is still the last."""
        mark = (
            sa.update(_table)
            .where(_table.c.id == rollout.id, _table.c.generation == rollout.generation)
            .values(applied=True)
        )

        def work(connection: sa.Connection) -> None:
            if not connection.execute(mark).rowcount:
                _get(connection, rollout.id)

        self._ledger.write(work)

    def history(self, model: str | None = None) -> tuple[tuple[Rollout, tuple[Decision, ...]], ...]:
        """Return all rollouts, newest first, each with its decisions in order."""
        wanted = sa.true() if model is None else _table.c.model == model
        choices = sa.select(schema.decision).order_by(schema.decision.c.generation)
        if model is not None:
            ids = sa.select(_table.c.id).where(wanted)
            choices = choices.where(schema.decision.c.rollout.in_(ids))
        rows = sa.select(_table).where(wanted).order_by(_table.c.number.desc())
        rollouts, decided = self._ledger.read(
            lambda c: (c.execute(rows).all(), c.execute(choices).all())
        )
        made: dict[str, list[Decision]] = {}
        for row in decided:
            made.setdefault(row.rollout, []).append(_read_decision(row))
        return tuple((_read(row), tuple(made.get(row.id, ()))) for row in rollouts)

    def _select(self, *conditions: sa.ColumnElement[bool]) -> tuple[Rollout, ...]:
        rows = sa.select(_table).where(*conditions).order_by(_table.c.number)
        return tuple(map(_read, self._ledger.read(lambda c: c.execute(rows).all())))

    def _attempt(self, work: Any, rollout: Rollout) -> Rollout:
        """Run the work; raise a refusal it returns, or Conflict where an index refuses."""

        def guarded(connection: sa.Connection) -> Rollout | ConveyorError:
            try:
                outcome: Rollout | ConveyorError = work(connection)
            except IntegrityError as error:
                raise _occupied(rollout, "another one") from error
            return outcome

        outcome = self._ledger.write(guarded)
        if isinstance(outcome, ConveyorError):
            raise outcome
        return outcome


def repeats(stored: Rollout, given: Rollout) -> bool:
    """Whether a stored generation is the given one, told to the services or not."""
    return _row(stored) | {"applied": False} == _row(given) | {"applied": False}


def outdated(stored: Rollout, given: Rollout) -> Conflict:
    """Return the error of a move from a generation that is not the stored one."""
    msg = (
        f"rollout {given.id} of {given.model} is at generation {stored.generation} "
        f"({stored.state}), so it cannot move to {given.generation}: read it again and decide anew"
    )
    return Conflict(msg)


def _occupied(rollout: Rollout, other: str) -> Conflict:
    msg = f"{rollout.model} has an open rollout ({other}): end it before another one begins"
    return Conflict(msg)


def _get(connection: sa.Connection, rollout: str) -> Rollout:
    row = connection.execute(sa.select(_table).where(_table.c.id == rollout)).first()
    if row is None:
        msg = f"there is no rollout {rollout!r}; list them with rollouts"
        raise NotFound(msg)
    return _read(row)


def _row(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "model": rollout.model,
        "candidate": rollout.candidate,
        "stable": rollout.stable,
        "state": rollout.state.value,
        "generation": rollout.generation,
        "step": rollout.step,
        "split": [[release, percent] for release, percent in rollout.split.shares],
        "opened": schema.micros(rollout.opened),
        "stepped": schema.micros(rollout.stepped),
        "applied": rollout.applied,
        "paused": rollout.paused,
        "reason": rollout.reason,
        "cause": rollout.cause,
    }


def _read(row: Any) -> Rollout:
    return Rollout(
        id=row.id,
        model=row.model,
        candidate=row.candidate,
        stable=row.stable,
        state=State(row.state),
        generation=row.generation,
        step=row.step,
        split=Traffic(tuple((release, percent) for release, percent in row.split)),
        opened=schema.moment(row.opened),
        stepped=schema.moment(row.stepped),
        applied=row.applied,
        paused=row.paused,
        reason=row.reason,
        cause=row.cause,
    )


def _decide(connection: sa.Connection, decision: Decision) -> None:
    connection.execute(
        sa.insert(schema.decision).values(
            rollout=decision.rollout,
            generation=decision.generation,
            outcome=decision.outcome,
            reason=decision.reason,
            by=decision.by,
            at=schema.micros(decision.at),
            evidence=decision.evidence,
        )
    )


def _read_decision(row: Any) -> Decision:
    return Decision(
        rollout=row.rollout,
        generation=row.generation,
        outcome=row.outcome,
        reason=row.reason,
        by=row.by,
        at=schema.moment(row.at),
        evidence=row.evidence,
    )
