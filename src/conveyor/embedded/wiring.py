"""Which station gets which parts: every station of the trigger table, bound to its ports."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from conveyor.data.datasets import BucketDatasets
from conveyor.domain.events import Event
from conveyor.embedded.parts import Parts
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.functions import Station
from conveyor.ledger.runs import NotedJobs
from conveyor.ports import Arrivals
from conveyor.serving.samples import FolderRequests
from conveyor.stations.build import build
from conveyor.stations.convert import convert
from conveyor.stations.judge import judge
from conveyor.stations.receive import receive
from conveyor.stations.reconcile import reconcile
from conveyor.stations.release import release
from conveyor.stations.version import version


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What reconcile and receive need besides the parts: eyes, the broker, and how to restore."""

    arrivals: Arrivals
    republish: Callable[[Event], None]
    restore: Callable[[], None]


def bind(parts: Parts, outlook: Outlook, settings: EmbeddedSettings) -> dict[str, Station]:
    """Return the stations by name."""
    history, lines, objects = parts.history, parts.lines, parts.bucket.objects
    common: dict[str, Any] = {"history": history, "lines": lines, "objects": objects}

    def noted(event: Event) -> NotedJobs:
        """Return the jobs for one event: who asked for a run is noted, for the trace."""
        return NotedJobs(parts.jobs, journal=parts.journal, event=event)

    return {
        "receive": partial(receive, arrivals=outlook.arrivals),
        "version": lambda event: version(
            event,
            **common,
            datasets=BucketDatasets(objects),
            jobs=noted(event),
            large=settings.large,
        ),
        "build": lambda event: build(event, **common, jobs=noted(event)),
        "convert": lambda event: convert(event, **common, jobs=noted(event)),
        "release": partial(release, **common, services=parts.services),
        "judge": partial(
            judge,
            **common,
            services=parts.services,
            rollouts=parts.rollouts,
            evidence=parts.evidence,
            requests=FolderRequests(parts.samples),
            patience=settings.patience,
        ),
        "reconcile": partial(
            reconcile,
            arrivals=outlook.arrivals,
            notices=parts.deliveries,
            deliveries=parts.deliveries,
            republish=outlook.republish,
            outbox_after=settings.delivery.outbox_after,
            restore=outlook.restore,
        ),
    }
