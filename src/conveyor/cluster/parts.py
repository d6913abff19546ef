"""The adapters that stations on a cluster work on, beside Kubernetes' own."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from conveyor.api.doors import Door
from conveyor.arrivals import Lookout
from conveyor.cluster.delivery import Delivery
from conveyor.cluster.late import late
from conveyor.data.git import GitHistory, GitSettings
from conveyor.data.gitaccess import access
from conveyor.data.lines import GitLines
from conveyor.data.s3 import S3Objects
from conveyor.domain.events import Event
from conveyor.domain.jobs import JobResult
from conveyor.ledger.evidence import SqlEvidence
from conveyor.ledger.rollouts import SqlRollouts
from conveyor.ledger.runs import NotedJobs
from conveyor.ports import Jobs


class Parts(Delivery):
    """Bucket, repository and ledger; opened as Delivery's parts are."""

    @late
    def objects(self) -> S3Objects:
        """The line's bucket."""
        return S3Objects(self.settings.bucket)

    @late
    def history(self) -> GitHistory:
        """The line's repository."""
        settings = self.settings
        return GitHistory(
            settings.remote,
            settings.cache / "git",
            environment=access(settings.remote, settings.environment, settings.cache / "access"),
            settings=GitSettings(base=settings.branch),
        )

    @late
    def lines(self) -> GitLines:
        """conveyor.yaml at each commit."""
        return GitLines(self.history, default_name=self.settings.line)

    @late
    def rollouts(self) -> SqlRollouts:
        """Open and ended rollouts."""
        return SqlRollouts(self.ledger)

    @late
    def evidence(self) -> SqlEvidence:
        """Summaries of traffic."""
        return SqlEvidence(self.ledger)

    @property
    def common(self) -> dict[str, Any]:
        """What nearly every station takes."""
        return {"history": self.history, "lines": self.lines, "objects": self.objects}

    def lookout(self, ended: Callable[[], Iterable[JobResult]] = tuple) -> Lookout:
        """Return what looks outside; ended lists the jobs that ended lately."""
        return Lookout(
            self.settings.branch,
            history=self.history,
            lines=self.lines,
            objects=self.objects,
            journal=self.journal,
            settle=timedelta(0),  # S3's objects are whole when they appear
            ended=ended,
        )

    def noted(self, jobs: Jobs, event: Event) -> NotedJobs:
        """Return the jobs for one event: who asked for a run is noted, for the trace."""
        return NotedJobs(jobs, journal=self.journal, event=event)

    @late
    def door(self) -> Door:
        """Where notices go in: stored before they are acknowledged, published afterwards."""
        return Door(
            line=self.settings.line,
            keyring=self.keyring,
            clock=self.clock,
            notices=self.deliveries,
            publish=self.republish,
        )

    def look(self) -> None:
        """Take in what was uploaded and pushed."""
        now, lookout = self.clock.now(), self.lookout()
        lookout.settle_uploads(now, self.door.enter, seen=self.deliveries.seen)
        lookout.settle_pushes(now, self.door.enter)
