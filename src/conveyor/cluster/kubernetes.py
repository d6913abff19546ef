"""The parts of stations that start runs or model services: Kubernetes behind both."""

from collections.abc import Callable
from functools import partial

from conveyor.cluster.late import late
from conveyor.cluster.parts import Parts
from conveyor.cluster.settings import FunctionSettings
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
    """Opened as Delivery's parts are; raises Rejected for a setting that is missing or wrong."""

    def __init__(self, settings: FunctionSettings) -> None:
        super().__init__(settings)
        self._access = ClusterSettings.from_env(settings.environment)
        self._running = JobSettings.from_env(settings.environment)
        self._serving = ServicesSettings.from_env(settings.environment)

    @late
    def cluster(self) -> KubernetesCluster:
        """The Kubernetes API."""
        return KubernetesCluster(self._access)

    @late
    def jobs(self) -> KubernetesJobs:
        """Runs of training, conversion and large reads."""
        return KubernetesJobs(self.cluster, self.objects, self._running)

    @late
    def services(self) -> KnativeServices:
        """The model services."""
        return KnativeServices(self.cluster, self._serving)

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
