"""Give every data set and ready-made model that arrives a version, if it may count."""

from conveyor.domain.checks import Reading
from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import JobResult
from conveyor.domain.payloads import JobFinished
from conveyor.errors import Superseded
from conveyor.ports import Datasets, History, Jobs, Lines, Objects
from conveyor.stations.acceptance import Ports, accept
from conveyor.stations.largereads import (
    KIND,
    LARGE,
    asked,
    let_newest_win,
    reading_of,
    specify,
    start,
)
from conveyor.stations.uploads import Arrived, read_upload


def version(  # noqa: PLR0913  ports are keyword-only
    event: Event,
    *,
    history: History,
    lines: Lines,
    objects: Objects,
    datasets: Datasets,
    jobs: Jobs,
    large: int = LARGE,
) -> tuple[Event, ...]:
    """Read what was uploaded once; commit its pointer and verdict, or keep both and refuse it.

    An upload of more than `large` bytes is read in a job: the answer is given when that ended.
    Raises Superseded when a newer upload took its place: that one gets the version.
    """
    station = _Version(Ports(history=history, objects=objects, datasets=datasets), jobs)
    if event.type == JobFinished.event_type():
        finished = JobFinished.from_event(event)
        result = jobs.result(finished.key) if finished.job == KIND else None
        if result is None:
            return ()
        arrived = read_upload(asked(objects, result.key), history=history, lines=lines)
        return station.conclude(event, arrived, result)
    arrived = read_upload(event, history=history, lines=lines)
    if arrived.ref.size > large:
        return station.in_a_job(event, arrived)
    schema, schema_file = arrived.schema, arrived.schema_file
    reading = datasets.read_once(arrived.ref, schema=schema, schema_file=schema_file)
    return station.answer(event, arrived, reading)


class _Version:
    def __init__(self, ports: Ports, jobs: Jobs) -> None:
        self._ports = ports
        self._jobs = jobs

    def in_a_job(self, event: Event, arrived: Arrived) -> tuple[Event, ...]:
        """Start the read of a large upload, or answer for one that ended already."""
        spec = specify(arrived)
        datasets, objects = self._ports.datasets, self._ports.objects
        if result := self._jobs.result(spec.key):
            return self.conclude(event, arrived, result)
        datasets.check_newest(arrived.ref)
        start(arrived, spec, objects=objects, jobs=self._jobs)
        outdated = let_newest_win(arrived, datasets=datasets, jobs=self._jobs, objects=objects)
        if spec.key in outdated:
            msg = f"a newer upload took the place of {arrived.ref.key}"
            raise Superseded(msg)
        return ()

    def conclude(self, event: Event, arrived: Arrived, result: JobResult) -> tuple[Event, ...]:
        """Answer for a read that ended."""
        reading = reading_of(result, self._ports.objects, size=arrived.ref.size)
        return self.answer(event, arrived, reading)

    def answer(self, event: Event, arrived: Arrived, reading: Reading) -> tuple[Event, ...]:
        """Take in what was read; the answer's id is the same whether it comes at once or later."""
        told = accept(arrived, reading, self._ports)
        identity = digest(arrived.event.id, told.event_type(), told.subject)
        return (event.leads_to(told, event_id=identity),)
