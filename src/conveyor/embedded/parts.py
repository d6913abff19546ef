"""The adapters that one machine's line is made of, opened once and closed together."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conveyor.data.datasets import BucketDatasets
from conveyor.data.git import GitHistory, GitSettings
from conveyor.data.lines import GitLines
from conveyor.data.repository import RepositorySettings, create_repository
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Line
from conveyor.embedded.bucket import Bucket, open_bucket
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.jobs.fences import Fences
from conveyor.jobs.local import LocalJobs
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.evidence import SqlEvidence
from conveyor.ledger.journal import Journal
from conveyor.ledger.rollouts import SqlRollouts
from conveyor.ledger.transactions import Ledger
from conveyor.ports import Clock, Lines
from conveyor.serving.launcher import ProcessSettings
from conveyor.serving.processes import ProcessServices

PYTHON = Path(sys.executable)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the stations work on. samples is where sampled requests lie."""

    ledger: Ledger
    deliveries: SqlDeliveries
    rollouts: SqlRollouts
    evidence: SqlEvidence
    journal: Journal
    repository: Path
    history: GitHistory
    lines: Lines
    bucket: Bucket
    samples: Path
    jobs: LocalJobs
    services: ProcessServices


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the parts must know of the engine that they are opened for.

    url is where it answers, serve_key the secret of what serves; on_finished is told of each job's
    end, and tells again after a crash.
    """

    line: Line
    state: Path
    clock: Clock
    url: str
    serve_key: str
    on_finished: Callable[[JobResult], None]


def open_parts(settings: EmbeddedSettings, around: Surroundings) -> Parts:
    """Open ledger, repository, bucket, jobs and services; none of them works before `start`."""
    ledger = open_ledger(sqlite_url(around.state / "ledger.db"))
    repository = _repository(around)
    history = GitHistory(
        str(repository),
        around.state / "git",
        environment=settings.environment,
        settings=GitSettings(base=around.line.git.branch),
    )
    bucket = open_bucket(settings, around.line)
    # With S3 the samples stay beside the engine: a model that serves has no credentials.
    samples = bucket.folder or around.state / "samples"
    fences = Fences.probe(PYTHON)
    return Parts(
        ledger=ledger,
        deliveries=SqlDeliveries(ledger, around.clock),
        rollouts=SqlRollouts(ledger),
        evidence=SqlEvidence(ledger),
        journal=Journal(ledger),
        repository=repository,
        history=history,
        lines=GitLines(history),
        bucket=bucket,
        samples=samples,
        jobs=LocalJobs(
            around.state,
            bucket.objects,
            history.export,
            datasets=BucketDatasets(bucket.objects),
            python=PYTHON,
            on_finished=around.on_finished,
            settings=settings.environment,
            slots=settings.slots,
            fences=fences,
        ),
        services=ProcessServices(
            around.state / "services",
            bucket.objects,
            _process_settings(settings, around, samples=samples, fences=fences),
        ),
    )


def _repository(around: Surroundings) -> Path:
    return create_repository(
        around.state / "line.git",
        settings=RepositorySettings(
            branch=around.line.git.branch,
            python=PYTHON,
            state_dir=around.state,
            url=around.url,
        ),
    )


def _process_settings(
    settings: EmbeddedSettings, around: Surroundings, *, samples: Path, fences: Fences
) -> ProcessSettings:
    port = urlsplit(around.url).port or 0

    def fenced(read: Path, write: tuple[Path, ...]) -> tuple[str, ...]:
        """Put the fences before a model that serves; it talks to the engine alone."""
        return fences.around_server(sys.executable, read=read, write=write, connect=port)

    return ProcessSettings(
        python=sys.executable,
        sink=f"{around.url}/events",
        key=around.serve_key,
        line=around.line.name,
        samples=samples,
        flush=settings.flush,
        around=fenced,
    )
