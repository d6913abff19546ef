"""The Jobs of one line as they lie in the cluster, found by labels; nothing is kept of them."""

from collections.abc import Iterable, Mapping, Sequence

from conveyor.errors import NotFound, Rejected
from conveyor.knative import jobnames as names
from conveyor.knative.joblanes import Seat, seat_of
from conveyor.knative.jobphases import newest
from conveyor.knative.jobsettings import JobSettings
from conveyor.knative.resources import ALL, EVENT, JOB, POD, Cluster, Json, Selection

_JOB_OF_POD = "batch.kubernetes.io/job-name"
_MOST_LOG = 16 * 2**20


class JobShelf:
    """Finds a line's Jobs, their pods, events and output, and changes them by compare-and-set."""

    def __init__(self, cluster: Cluster, settings: JobSettings) -> None:
        self._cluster, self._namespace = cluster, settings.namespace
        self._line = f"{names.LINE}={names.label(settings.line)}"

    def all(self) -> list[tuple[Json, Seat]]:
        """Return the line's Jobs."""
        return self._jobs(self._line)

    def of_lane(self, lane: str) -> list[Seat]:
        """Return the Jobs of which one works at a time."""
        return [seat for _, seat in self._jobs(f"{names.LANE}={lane}")]

    def find(self, key: str) -> tuple[Json, Seat] | None:
        """Return the last attempt's Job of a run, None where there is none."""
        jobs = self._jobs(f"{self._line},{names.RUN}={names.run_of(key)}")
        found = [pair for pair in jobs if pair[1].key == key]
        return max(found, key=lambda pair: pair[1].attempt) if found else None

    def named(self, name: str) -> Seat | None:
        """Return what is known of a Job, None where it is none of ours; raises NotFound."""
        return seat_of(self._cluster.get(JOB, self._namespace, name))

    def add(self, manifest: Json) -> None:
        """Create a Job; raises Conflict where its name is taken."""
        self._cluster.create(JOB, self._namespace, manifest)

    def change(self, seat: Seat, patch: Json, *, blindly: bool = False) -> None:
        """Patch a Job; raises NotFound, and Conflict where it changed since it was seen."""
        guard = {} if blindly else {"resourceVersion": seat.version}
        metadata = {**patch.get("metadata", {}), **guard}
        self._cluster.patch(JOB, self._namespace, seat.name, {**patch, "metadata": metadata})

    def remove(self, seat: Seat) -> None:
        """Delete a Job and its pods."""
        self._cluster.delete(JOB, self._namespace, seat.name)

    def pods(self, seat: Seat | None = None) -> tuple[Json, ...]:
        """Return the pods of one Job, or of all of the line."""
        labels = f"{_JOB_OF_POD}={seat.name}" if seat else self._line
        return self._cluster.list(POD, self._namespace, Selection(labels=labels)).items

    def events(self) -> tuple[Json, ...]:
        """Return what the cluster said lately about anything in the namespace."""
        return self._cluster.list(EVENT, self._namespace, ALL).items

    def output(self, pods: Sequence[Json]) -> bytes:
        """Return what the work wrote; a run that only reads is the first step's work."""
        if not pods:
            return b""
        pod = newest(pods)
        steps = {step["name"] for step in pod["spec"].get("initContainers") or ()}
        container = names.WORK if names.WORK in steps else names.FETCH
        try:
            name = pod["metadata"]["name"]
            return self._cluster.output(self._namespace, name, container)[:_MOST_LOG]
        except (NotFound, Rejected):
            return b""  # it has not begun

    def _jobs(self, labels: str) -> list[tuple[Json, Seat]]:
        jobs = self._cluster.list(JOB, self._namespace, Selection(labels=labels)).items
        return [(job, seat) for job in jobs if (seat := seat_of(job)) is not None]


def pods_of(pods: Iterable[Json], seat: Seat) -> list[Json]:
    """Return those of some pods that belong to a Job."""
    return [pod for pod in pods if _labels(pod).get(_JOB_OF_POD) == seat.name]


def events_of(events: Iterable[Json], seat: Seat) -> list[Json]:
    """Return the events of a Job and its pods, whose names begin with the Job's."""
    found = []
    for event in events:
        about = event["involvedObject"]
        name = str(about.get("name", ""))
        if name == seat.name or (about.get("kind") == "Pod" and name.startswith(f"{seat.name}-")):
            found.append(event)
    return found


def _labels(thing: Json) -> Mapping[str, str]:
    labels: Mapping[str, str] = thing["metadata"].get("labels") or {}
    return labels
