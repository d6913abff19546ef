"""Reads of large uploads as runs: their key, who asked for them, and what they gave."""

import json
from datetime import datetime, timedelta

from conveyor.domain.checks import Finding, Reading
from conveyor.domain.events import Event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import CANCELLED, MANIFEST, SCHEMA, JobResult, JobSpec, Limits, Upload
from conveyor.domain.line import Model
from conveyor.domain.objects import run_folder
from conveyor.errors import NotFound, Rejected, Superseded
from conveyor.ports import Datasets, Jobs, Objects
from conveyor.stations.uploads import Arrived, uploaded_ref

KIND = "version"

EDITION = "1"
"""Raised when reading finds something else: older results are not taken for new ones."""

LARGE = 256 * 2**20
"""Bytes above which an upload is read in a job."""

_SLOWEST = 4 * 2**20
"""Bytes a second below which a read counts as hung."""

_LEAST = timedelta(minutes=30)
_ID = 8


def specify(arrived: Arrived) -> JobSpec:
    """Return the run that reads an upload; its key says all that its result depends on."""
    upload = Upload.of(arrived.ref, schema_file=arrived.schema_file)
    ref, schema = arrived.ref, arrived.schema
    key = digest(
        *(KIND, EDITION, ref.bucket, ref.key, ref.version, ref.etag, upload.modified),
        *(() if schema is None else (arrived.schema_file, schema)),
    )
    return JobSpec(
        kind=KIND,
        key=key,
        # Of its own for each upload: which of them is the newest is seen in the bucket.
        owner=f"{lane_of(arrived)}.{key[:_ID]}",
        files={} if schema is None else {SCHEMA: schema},
        reads=upload,
        limits=Limits(timeout=max(_LEAST, timedelta(seconds=ref.size / _SLOWEST))),
    )


def lane_of(arrived: Arrived) -> str:
    """Return whom a read works for: the data set, or `NAME.model`, for both may have one name."""
    taker = arrived.taker
    return f"{taker.name}.model" if isinstance(taker, Model) else taker.name


def lane(owner: str) -> str:
    """Return whom a job works for by its owner; names have no dot, but for those of reads."""
    return owner.rpartition(".")[0] or owner


def start(arrived: Arrived, spec: JobSpec, *, objects: Objects, jobs: Jobs) -> None:
    """Start a read, and note the upload that it is of for the time when it ends."""
    event = arrived.event
    told = {name: getattr(event, name) for name in ("id", "source", "type", "subject")}
    told |= {"time": event.time.isoformat(), "data": dict(event.data)}
    objects.put(_request_key(spec.key), json.dumps(told, sort_keys=True).encode())
    jobs.ensure(spec)


def asked(objects: Objects, key: str) -> Event:
    """Return the upload's event that a read was started for; raises Rejected where none is."""
    try:
        told = json.loads(objects.read(_request_key(key)))
        return Event(**{**told, "time": datetime.fromisoformat(told["time"])})
    except (NotFound, ValueError, TypeError, KeyError) as error:
        msg = f"run {key} is not one that version asked for ({error}); nothing is done for it"
        raise Rejected(msg) from error


def _request_key(key: str) -> str:
    return f"{run_folder(key)}request.json"


def let_newest_win(
    arrived: Arrived, *, datasets: Datasets, jobs: Jobs, objects: Objects
) -> frozenset[str]:
    """Cancel the reads of a taker's uploads of which there are newer ones; returns their keys.

    The bucket says what is newest, for events may come in any order.
    """
    outdated = set()
    for job in jobs.running():
        if job.kind == KIND and lane(job.owner) == lane_of(arrived):
            try:
                datasets.check_newest(uploaded_ref(asked(objects, job.key)))
            except Superseded:
                jobs.cancel(job.key)
                outdated.add(job.key)
    return frozenset(outdated)


def reading_of(result: JobResult, objects: Objects, *, size: int) -> Reading:
    """Return what a run read; one that failed is a reading with its reason as the only finding.

    Raises Superseded where a newer upload took its place while it was read.
    """
    if result.state == CANCELLED:
        raise Superseded(result.reason)
    if not result.succeeded:
        finding = Finding(check="read", where="file", message=result.reason or result.state)
        return Reading(md5="", size=size, findings=(finding,))
    manifest = result.outputs.get(MANIFEST)
    return Reading.from_report(result.report, objects.read(manifest) if manifest else None)
