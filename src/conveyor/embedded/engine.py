"""Puts the whole line together in one process, starts it, and takes it down without loss."""

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

from conveyor.api.app import create_api
from conveyor.api.desk import Desk
from conveyor.api.doors import Door
from conveyor.api.inbox import FolderInbox, Inbox
from conveyor.api.s3inbox import S3Inbox
from conveyor.codec import LINE, SERVE, Keyring
from conveyor.data.datasets import BucketDatasets
from conveyor.data.folder import FolderObjects
from conveyor.data.git import GitHistory, GitSettings
from conveyor.data.lines import GitLines
from conveyor.data.repository import RepositorySettings, create_repository
from conveyor.data.s3 import S3Objects, connect
from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Line
from conveyor.domain.payloads import InferenceObserved
from conveyor.embedded.arrivals import LocalArrivals, SystemClock
from conveyor.embedded.gate import Gate, by_path
from conveyor.embedded.repository import introduce, refuse_foreign_state
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.embedded.state import TOKEN, StateFolder
from conveyor.embedded.watch import Watcher
from conveyor.embedded.web import WebServer
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.eventing.broker import Broker
from conveyor.functions import Function, Station
from conveyor.jobs.fences import Fences
from conveyor.jobs.local import LocalJobs
from conveyor.jobs.results import finished_event
from conveyor.ledger.database import open_ledger, sqlite_url
from conveyor.ledger.deliveries import SqlDeliveries
from conveyor.ledger.evidence import SqlEvidence
from conveyor.ledger.journal import Journal
from conveyor.ledger.retention import forget
from conveyor.ledger.rollouts import SqlRollouts
from conveyor.ledger.runs import NotedJobs
from conveyor.ledger.trace import Trace
from conveyor.linefile import LINE_FILE, parse_line
from conveyor.ports import Clock, Objects
from conveyor.serving.launcher import ProcessSettings
from conveyor.serving.processes import ProcessServices
from conveyor.serving.router import Router, RouterSettings
from conveyor.serving.samples import FolderRequests
from conveyor.settings import S3Settings
from conveyor.stations.build import build
from conveyor.stations.convert import convert
from conveyor.stations.deadletter import deadletter
from conveyor.stations.judge import judge
from conveyor.stations.receive import receive
from conveyor.stations.reconcile import Restorer, reconcile
from conveyor.stations.release import release
from conveyor.stations.version import version

log = logging.getLogger(__name__)

S3 = "s3"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Bucket:
    """The line's bucket and the way in; folder is where it lies on this machine, None for S3."""

    objects: Objects
    inbox: Inbox
    folder: Path | None


class Engine:
    """One machine's line. Nothing runs before `start`; after `stop` a new one takes up the rest.

    Raises Conflict when the state folder is in use, Unavailable when the port is taken, InvalidLine
    when conveyor.yaml is broken.
    """

    def __init__(self, settings: EmbeddedSettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.line = _declared(settings.line)
        refuse_foreign_state(settings.line, settings.state)
        self._state = StateFolder(settings.state)
        self._clock = clock or SystemClock()
        secrets = self._state.secrets()
        self.token = secrets[TOKEN]
        self._keyring = Keyring({LINE: [secrets[LINE]], SERVE: [secrets[SERVE]]})
        self._gate = Gate(self.token, self._hosts)
        self._web = WebServer(settings.host, settings.port, self._gate)
        self._open_stores()
        self._open_world(secrets[SERVE])
        self._broker = self._assemble()
        self._door = Door(
            line=self.line.name,
            keyring=self._keyring,
            clock=self._clock,
            notices=self._deliveries,
            publish=self._broker.republish,
        )
        self._watchers = self._eyes()

    @property
    def url(self) -> str:
        """Where API, events and models answer."""
        return self._web.url

    @property
    def _hosts(self) -> tuple[str, ...]:
        """The names by which requests may reach it, besides localhost and plain addresses."""
        return () if self.settings.host in LOOPBACK else (self.settings.host,)

    @property
    def containment(self) -> tuple[str, ...]:
        """What fences foreign code in on this machine."""
        return self._jobs.containment()

    @property
    def _samples(self) -> Path:
        """Where sampled requests lie: in the bucket, or beside the engine where that is S3's."""
        return self._bucket.folder or self._state.path / "samples"

    @property
    def bucket_folder(self) -> Path | None:
        """The watched folder, None where the bucket is S3's."""
        return self._bucket.folder

    def start(self) -> None:
        """Take up what a former engine left, then begin to look and to answer."""
        self._deliveries.take_back()
        self._broker.start()
        self._jobs.start()
        self._router.faults.start()
        # Whoever finds the address finds a line: its first commit comes before it.
        introduce(self.settings.line, self._repository, self.line.git.branch)
        self._state.write_private("api.json", json.dumps({"url": self.url, "token": self.token}))
        self._web.serve(by_path(self._router, self._api(), self._gate))
        for event in self._deliveries.owed(before=self._clock.now()):
            self._broker.republish(event)
        self._restore_early()
        for watcher in self._watchers.values():
            watcher.start()

    def _restore_early(self) -> None:
        """Serve what Git calls stable; what cannot be read yet is restored by reconcile."""
        try:
            self._restore()
        except ConveyorError as error:
            log.warning("nothing could be restored yet: %s", error)

    def stop(self) -> None:
        """Drain: what is in flight ends, the rest waits for the next start."""
        for watcher in self._watchers.values():
            watcher.stop()
        self._web.drain()
        self._router.faults.stop()
        self._services.close()
        self._broker.stop()
        self._jobs.stop()
        self._web.stop()
        self._ledger.close()
        self._state.release()

    def _open_stores(self) -> None:
        self._ledger = open_ledger(sqlite_url(self._state.path / "ledger.db"))
        self._deliveries = SqlDeliveries(self._ledger, self._clock)
        self._rollouts = SqlRollouts(self._ledger)
        self._evidence = SqlEvidence(self._ledger)
        self._journal = Journal(self._ledger)

    def _open_world(self, serve_key: str) -> None:
        """Open repository, bucket, jobs and services: what lies outside the process."""
        self._repository = create_repository(
            self._state.path / "line.git",
            settings=RepositorySettings(
                branch=self.line.git.branch,
                python=Path(sys.executable),
                state_dir=self._state.path,
                url=self.url,
            ),
        )
        self._history = GitHistory(
            str(self._repository),
            self._state.path / "git",
            environment=self.settings.environment,
            settings=GitSettings(base=self.line.git.branch),
        )
        self._lines = GitLines(self._history)
        self._bucket = _bucket(self.settings, self.line)
        self._fences = Fences.probe(Path(sys.executable))
        self._jobs = LocalJobs(
            self._state.path,
            self._bucket.objects,
            self._history.export,
            python=Path(sys.executable),
            on_finished=self._job_ended,
            settings=self.settings.environment,
            slots=self.settings.slots,
            fences=self._fences,
        )
        self._services = ProcessServices(
            self._state.path / "services", self._bucket.objects, self._process_settings(serve_key)
        )
        self._router = Router(
            self._services, self._counted, RouterSettings(flush=self.settings.flush)
        )
        self._arrivals = LocalArrivals(
            self.line.git.branch,
            history=self._history,
            lines=self._lines,
            objects=self._bucket.objects,
            journal=self._journal,
            # S3's objects are whole when they appear
            settle=self.settings.settle if self._bucket.folder else timedelta(0),
        )

    def _process_settings(self, serve_key: str) -> ProcessSettings:
        return ProcessSettings(
            python=sys.executable,
            sink=f"{self.url}/events",
            key=serve_key,
            line=self.line.name,
            samples=self._samples,
            flush=self.settings.flush,
            around=self._around,
        )

    def _around(self, read: Path, write: tuple[Path, ...]) -> tuple[str, ...]:
        """Put the fences before a model that serves; it talks to the engine alone."""
        port = urlsplit(self.url).port or 0
        return self._fences.around_server(sys.executable, read=read, write=write, connect=port)

    def _assemble(self) -> Broker:
        """Bind every station to its ports and put the broker in front of them."""
        history, lines, objects = self._history, self._lines, self._bucket.objects
        services = self._services
        self._restore = Restorer(
            history=history,
            lines=lines,
            services=services,
            rollouts=self._rollouts,
            branch=self.line.git.branch,
        )
        stations: dict[str, Station] = {
            "receive": partial(receive, arrivals=self._arrivals),
            "version": partial(
                version,
                history=history,
                lines=lines,
                objects=objects,
                datasets=BucketDatasets(objects),
            ),
            "build": lambda event: build(
                event, history=history, lines=lines, objects=objects, jobs=self._noted(event)
            ),
            "convert": lambda event: convert(
                event, history=history, lines=lines, objects=objects, jobs=self._noted(event)
            ),
            "release": partial(
                release, history=history, lines=lines, objects=objects, services=services
            ),
            "judge": partial(
                judge,
                history=history,
                lines=lines,
                services=services,
                rollouts=self._rollouts,
                evidence=self._evidence,
                requests=FolderRequests(self._samples),
                objects=objects,
                patience=self.settings.patience,
            ),
            "reconcile": partial(
                reconcile,
                arrivals=self._arrivals,
                notices=self._deliveries,
                deliveries=self._deliveries,
                republish=self._publish_again,
                outbox_after=self.settings.delivery.outbox_after,
                restore=self._restore,
            ),
        }
        return Broker(
            self._state.path / "broker.db",
            {name: self._function(name, station) for name, station in stations.items()},
            dead_letter=self._bury,
            settings=self.settings.delivery,
        )

    def _function(self, name: str, station: Station) -> Function:
        return Function(
            name,
            station,
            deliveries=self._deliveries,
            publish=self._hand_on,
            keyring=self._keyring,
            lease=self.settings.delivery.lease,
        )

    def _hand_on(self, events: Sequence[Event]) -> None:
        self._broker.publish_answers(events)

    def _publish_again(self, event: Event) -> None:
        self._broker.republish(event)

    def _noted(self, event: Event) -> NotedJobs:
        """Return the jobs for one event: who asked for a run is noted, for the trace."""
        return NotedJobs(self._jobs, journal=self._journal, event=event)

    def _eyes(self) -> dict[str, Watcher]:
        look, slow = self.settings.look, self.settings.slow_look
        return {
            "bucket": Watcher(
                "bucket", self._look_at_bucket, look if self._bucket.folder else slow
            ),
            "repository": Watcher("repository", self._look_at_repository, slow),
            "ledger": Watcher("ledger", self._tidy, timedelta(hours=1)),
            "clock": Watcher("clock", self._look_at_clock, timedelta(seconds=1)),
        }

    def _look_at_bucket(self) -> None:
        for event in self._arrivals.uploads(self._clock.now()):
            # Asked first, for most looks find only what was stored long ago.
            if not self._deliveries.seen(event.id):
                self._door.enter(event)

    def _look_at_repository(self) -> None:
        self._arrivals.settle_pushes(self._clock.now(), self._door.enter)

    def _look_at_clock(self) -> None:
        self._arrivals.settle_ticks(self._clock.now(), self._door.enter)

    def _tidy(self) -> None:
        gone = forget(self._ledger, now=self._clock.now())
        if gone:
            log.info("%d old ticks and traffic summaries were forgotten", gone)

    def _job_ended(self, result: JobResult) -> None:
        self._door.enter(finished_event(result, self.line.name, self._clock.now()))

    def _counted(self, window: InferenceObserved) -> None:
        """Take a window that the router itself counted."""
        identity = digest(window.revision, window.instance, str(window.window))
        self._door.enter(
            new_event(window, line=self.line.name, event_id=identity, time=self._clock.now())
        )

    def _bury(self, event: Event, station: str, code: int, reason: str) -> None:
        deadletter(event, station=station, code=code, reason=reason, deliveries=self._deliveries)

    def _api(self) -> WSGIApplication:
        objects = self._bucket.objects
        desk = Desk(
            branch=self.line.git.branch,
            door=self._door,
            history=self._history,
            lines=self._lines,
            objects=objects,
            inbox=self._bucket.inbox,
            jobs=self._jobs,
            services=self._services,
            rollouts=self._rollouts,
            evidence=self._evidence,
            deliveries=self._deliveries,
            journal=self._journal,
            tracer=Trace(self._ledger),
            republish=self._broker.republish,
            read_log=self._jobs.read_log,
            look=self._look,
            problems=self._problems,
        )
        return create_api(desk, token=self.token, hosts=self._hosts)

    def _look(self) -> None:
        """Look at everything outside now."""
        for watcher in self._watchers.values():
            watcher.poke()

    def _problems(self) -> list[str]:
        return [watcher.complaint for watcher in self._watchers.values() if watcher.complaint]


def run(settings: EmbeddedSettings, *, on_ready: Callable[[Engine], None]) -> None:
    """Run a line until SIGTERM or SIGINT, then drain; on_ready is called once it answers."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    engine = Engine(settings)
    engine.start()
    on_ready(engine)
    ended.wait()
    engine.stop()


def _declared(folder: Path) -> Line:
    """Return the line as it lies in the folder: where its branch and bucket are."""
    file = folder / LINE_FILE
    try:
        text = file.read_bytes()
    except FileNotFoundError as error:
        msg = f"there is no {LINE_FILE} in {folder}: make a line with `conveyor init`"
        raise NotFound(msg) from error
    return parse_line(text, default_name=folder.resolve().name)


def _bucket(settings: EmbeddedSettings, line: Line) -> Bucket:
    """Open the bucket: `s3://NAME`, or a folder relative to the line's."""
    given = settings.bucket or line.bucket
    address = urlsplit(given)
    if address.scheme == S3:
        given_s3 = S3Settings.from_env(settings.environment, bucket=address.netloc)
        return Bucket(S3Objects(given_s3), S3Inbox(connect(given_s3), address.netloc), None)
    if address.scheme:
        msg = f"the bucket {given!r} is neither a folder nor s3://NAME"
        raise Rejected(msg)
    folder = (settings.line / given).absolute()
    return Bucket(FolderObjects(folder), FolderInbox(folder), folder)
