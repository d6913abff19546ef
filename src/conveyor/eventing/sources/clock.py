"""The nominal times of schedules: found by looking at the clock, so that none depends on being
awake.

All schedules are in UTC. A tick's identity is its nominal time: however often it is found, its
id is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from croniter import croniter
from croniter.croniter import CroniterError

from conveyor.domain.events import Event, new_event
from conveyor.domain.line import Line
from conveyor.domain.payloads import ScheduleFired, ScheduleMissed, tick_id
from conveyor.domain.routes import MINUTE, RETRAIN
from conveyor.errors import InvalidLine

GRACE = timedelta(minutes=2)
"""A tick found later than this was missed."""

MAX_MISSED = 100
"""How many missed ticks are named, the newest; a year away must not take a year to go through."""

_WRONG_CLOCK = timedelta(days=1)


@dataclass(frozen=True)
class TickReport:
    """What a schedule asks for now: due ticks are to be fired, missed ones only noted; oldest
    first.
    """

    due: tuple[datetime, ...] = ()
    missed: tuple[datetime, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TickEvents:
    """The events of all schedules, the cursors to keep for the next look, and what was missed
    by schedule.
    """

    events: tuple[Event, ...]
    cursors: Mapping[str, datetime]
    missed: Mapping[str, tuple[datetime, ...]]


def ticks(cron: str, *, last: datetime | None, now: datetime, missed: str = "once") -> TickReport:
    """Return what a schedule asks for in (last, now]; last None means it is new, and nothing is
    due.

    missed "once": the newest tick is due however late, the others are missed; "skip": a tick
    later than GRACE is missed. Where now lies before last, nothing is due. Raises InvalidLine
    for a broken cron.
    """
    found = _between(cron, last, now) if last is not None else []
    if not found:
        return TickReport()
    newest = found[-1]
    if missed == "once" or now - newest <= GRACE:
        return TickReport((newest,), tuple(found[:-1]))
    return TickReport((), tuple(found))


def tick_events(
    line: Line, commit: str, *, cursors: Mapping[str, datetime], now: datetime
) -> TickEvents:
    """Return the schedule.fired events of the line at a commit: the minute, and each model's
    retrain.

    cursors are those of the last look, {} when nothing is known: then the minute fires and no
    retrain does.
    """
    minute = now.astimezone(UTC).replace(second=0, microsecond=0)
    at = {name: _cursor(cursors.get(name), now) for name in _names(line)}
    events, missed = [], {}
    last = at[MINUTE]
    if last is None or minute > last:
        events.append(_event(line, commit, minute))
        at[MINUTE] = minute
    for name, model in line.models.items():
        if model.retrain is None:
            continue
        key = cursor_name(name)
        report = ticks(model.retrain.cron, last=at[key], now=now, missed=model.retrain.missed)
        events += [_event(line, commit, tick, model=name) for tick in report.due]
        if report.missed:
            missed[key] = report.missed
            events.append(_missed(line, commit, name, report.missed))
        at[key] = max(at[key] or now, now)
    kept = {name: when for name, when in at.items() if when is not None}
    return TickEvents(events=tuple(events), cursors=kept, missed=missed)


def cursor_name(model: str) -> str:
    """Return the name of the cursor of a model's retrain schedule."""
    return f"{RETRAIN}/{model}"


def _names(line: Line) -> list[str]:
    return [MINUTE, *(cursor_name(name) for name, model in line.models.items() if model.retrain)]


def _cursor(last: datetime | None, now: datetime) -> datetime | None:
    """Return a cursor, None where it lies so far ahead that the clock was wrong when it was set."""
    return None if last is not None and last - now > _WRONG_CLOCK else last


def _between(cron: str, last: datetime, now: datetime) -> list[datetime]:
    """Return the newest MAX_MISSED nominal times in (last, now], oldest first."""
    found: list[datetime] = []
    try:
        # get_prev leaves its start out and ticks are whole seconds: a second later, now counts.
        times = croniter(cron, now.astimezone(UTC) + timedelta(seconds=1))
        while len(found) < MAX_MISSED:
            tick = times.get_prev(datetime)
            if tick <= last:
                break
            if tick <= now:
                found.append(tick)
    except (CroniterError, ValueError) as error:
        what = f'{cron!r} is no schedule ({error}); write five cron fields like "0 3 * * 1"'
        raise InvalidLine(what) from error
    return found[::-1]


def _missed(line: Line, commit: str, model: str, at: tuple[datetime, ...]) -> Event:
    named = [_text(tick) for tick in at]
    payload = ScheduleMissed(schedule=RETRAIN, model=model, ticks=named, commit=commit)
    event_id = tick_id("missed", model, f"{named[0]}/{named[-1]}")
    return new_event(payload, line=line.name, event_id=event_id, time=at[-1])


def _text(tick: datetime) -> str:
    return tick.strftime("%Y-%m-%dT%H:%M:%SZ")


def _event(line: Line, commit: str, tick: datetime, *, model: str | None = None) -> Event:
    schedule = RETRAIN if model else MINUTE
    text = _text(tick)
    payload = ScheduleFired(schedule=schedule, tick=text, commit=commit, model=model)
    event_id = tick_id(schedule, payload.subject, text)
    return new_event(payload, line=line.name, event_id=event_id, time=tick)
