"""`reconcile` on a cluster: what it finds, what it hands on, and what it tidies up."""

import logging
from datetime import datetime, timedelta
from functools import partial

from conveyor.cluster.kubernetes import KubernetesParts
from conveyor.domain.events import Event
from conveyor.functions import Station
from conveyor.ledger.retention import forget
from conveyor.stations.reconcile import reconcile

EVERY = timedelta(hours=1)
"""How often old ticks and summaries are looked for."""

TIDIED = "tidied"
"""The cursor that keeps when that was done last, by whichever replica."""

log = logging.getLogger(__name__)


def bind(parts: KubernetesParts) -> Station:
    """Return the station; what may take minutes goes on behind its answer."""
    jobs, background = parts.jobs, parts.background
    station = partial(
        reconcile,
        arrivals=parts.lookout(jobs.ended),
        notices=parts.deliveries,
        deliveries=parts.deliveries,
        republish=parts.republish,
        outbox_after=parts.settings.delivery.outbox_after,
        # A model may take a minute to start; the next look goes on where this one ended.
        restore=lambda: background.do("restore", parts.restore),
    )

    def handle(event: Event) -> tuple[Event, ...]:
        answers = station(event)
        background.do("tidy", partial(tidy, parts, parts.clock.now()))
        return answers

    return handle


def tidy(parts: KubernetesParts, now: datetime) -> None:
    """Forget old ticks and summaries of traffic, once in a while."""
    last = parts.journal.cursor(TIDIED)
    if last and now - datetime.fromisoformat(last) < EVERY:
        return
    gone = forget(parts.ledger, now=now)
    parts.journal.set_cursor(TIDIED, now.isoformat())
    if gone:
        log.info("%d old ticks and traffic summaries were forgotten", gone)
