"""The parts of stations that start runs or model services: Kubernetes behind both."""

from collections.abc import Callable
from functools import partial

from conveyor.cluster.late import late
from conveyor.cluster.parts import Parts
from conveyor.domain.events import Event
from conveyor.domain.payloads import JobFinished
from conveyor.functions import Station
from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.jobs import KubernetesJobs
from conveyor.knative.jobsettings import JobSettings
from conveyor.knative.services import KnativeServices
from conveyor.knative.settings import ServicesSettings
from conveyor.stations.reconcile import Restorer


class KubernetesParts(Parts):
    """Opened as Delivery's parts are."""

    @late
    def cluster(self) -> KubernetesCluster:
        """The Kubernetes API."""
        return KubernetesCluster(ClusterSettings.from_env(self.settings.environment))

    @late
    def jobs(self) -> KubernetesJobs:
        """Runs of training, conversion and large reads."""
        settings = JobSettings.from_env(self.settings.environment)
        return KubernetesJobs(self.cluster, self.objects, settings)

    @late
    def services(self) -> KnativeServices:
        """The model services."""
        settings = ServicesSettings.from_env(self.settings.environment)
        return KnativeServices(self.cluster, settings)

    @late
    def restore(self) -> Restorer:
        """What makes the services what Git says they are."""
        return Restorer(
            history=self.history,
            lines=self.lines,
            services=self.services,
            rollouts=self.rollouts,
            branch=self.settings.branch,
        )

    def with_jobs(self, station: Callable[..., tuple[Event, ...]]) -> Station:
        """Return a station that starts runs; when one ended, the next of its owner has its turn."""
        ended = JobFinished.event_type()
        jobs = self.jobs

        def handle(event: Event) -> tuple[Event, ...]:
            answers = station(event, jobs=self.noted(jobs, event))
            if event.type == ended:
                key = str(event.data["key"])
                self.background.do(f"after run {key}", partial(self._end, key))
            return answers

        return handle

    def _end(self, key: str) -> None:
        self.jobs.told(key)
        self.jobs.ended()
