"""Look at what really is, and send on what a lost notice or event missed."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from conveyor.domain.events import Event
from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Registry
from conveyor.errors import ConveyorError, NotFound
from conveyor.ports import Arrivals, Deliveries, History, Lines, Notices, Rollouts, Services

log = logging.getLogger(__name__)


def reconcile(  # noqa: PLR0913 -- each port is one thing that may have been missed
    event: Event,
    *,
    arrivals: Arrivals,
    notices: Notices,
    deliveries: Deliveries,
    republish: Callable[[Event], None],
    outbox_after: timedelta,
    restore: Callable[[], None],
) -> tuple[Event, ...]:
    """Answer with the arrivals that nobody told of; publish again what nobody finished in time, and
    what an outage made a dead letter.

    republish hands an event to the broker even if the broker believes it was delivered.
    """
    now = event.time
    found = (*arrivals.uploads(now), *arrivals.pushes(now), *arrivals.ended_jobs(now))
    missed = tuple(arrival for arrival in found if not notices.seen(arrival.id))
    revive(deliveries, now)
    for late in deliveries.owed(before=now - outbox_after):
        if late.key != event.key:
            republish(late)
    restore()
    return missed


def revive(deliveries: Deliveries, now: datetime) -> None:
    """Make owed again what died of an outage and is due by now."""
    for event, station in deliveries.interrupted(now):
        try:
            deliveries.revive(event.id, station)
        except NotFound:
            # Somebody else was faster.
            continue
        log.info("%s tries event %s of type %s again", station, event.id, event.type)


class Restorer:
    """Makes the services what Git says they are: the newest stable of each model serves."""

    def __init__(
        self, *, history: History, lines: Lines, services: Services, rollouts: Rollouts, branch: str
    ) -> None:
        self._history = history
        self._lines = lines
        self._services = services
        self._rollouts = rollouts
        self._branch = branch

    def __call__(self) -> None:
        """Restore every model that has a stable release, no traffic and no open rollout."""
        line = self._lines.at(self._history.head(self._branch))
        tags = self._history.tags()
        for model in line.models:
            try:
                self._restore(Registry.of(model, tags), line)
            except ConveyorError as error:
                log.warning("%s could not be restored: %s", model, error)

    def _restore(self, registry: Registry, line: Line) -> None:
        stable = registry.stable
        if stable is None or self._rollouts.current(registry.model) is not None:
            return
        seen = self._services.traffic(registry.model)
        if seen.shares:
            return
        log.info("%s serves again: it is the stable release in Git", stable.tag)
        self._services.ensure(stable, line)
        self._services.apply(registry.model, Traffic(((stable.digest, 100),)), expected=seen)
