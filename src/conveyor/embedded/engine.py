"""Puts the whole line together in one process, starts it, and takes it down without loss."""

import json
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from wsgiref.types import WSGIApplication

from conveyor.api.app import create_api
from conveyor.api.desk import Desk
from conveyor.api.doors import Door
from conveyor.arrivals import Lookout, SystemClock
from conveyor.codec import LINE, SERVE, Keyring
from conveyor.domain.events import Event, new_event
from conveyor.domain.identity import digest
from conveyor.domain.jobs import JobResult
from conveyor.domain.line import Line
from conveyor.domain.payloads import InferenceObserved
from conveyor.embedded.eyes import Eyes
from conveyor.embedded.gate import Gate, by_path
from conveyor.embedded.parts import Parts, Surroundings, open_parts
from conveyor.embedded.repository import introduce, refuse_foreign_state
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.embedded.state import TOKEN, StateFolder
from conveyor.embedded.wiring import Outlook, bind
from conveyor.errors import ConveyorError, NotFound
from conveyor.eventing.broker import Broker
from conveyor.functions import Function, Station
from conveyor.ledger.trace import Trace
from conveyor.linefile import LINE_FILE, parse_line
from conveyor.ports import Clock
from conveyor.runs import finished_event
from conveyor.serving.router import Router, RouterSettings
from conveyor.stations.deadletter import deadletter
from conveyor.stations.reconcile import Restorer
from conveyor.web import WebServer

EVENTS = "/events"
"""Where events come in."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger(__name__)


def as_they_are(parts: Parts) -> Parts:
    """Return the parts unaltered."""
    return parts


class Engine:
    """One machine's line. Nothing runs before `start`; after `stop` a new one takes up the rest.

    alter may put other parts in place of some before the stations are bound to them: a fault, say.
    Raises Conflict when the state folder is in use, Unavailable when the port is taken, InvalidLine
    when conveyor.yaml is broken.
    """

    def __init__(
        self,
        settings: EmbeddedSettings,
        *,
        clock: Clock | None = None,
        alter: Callable[[Parts], Parts] = as_they_are,
    ) -> None:
        self.settings = settings
        self.line = _declared(settings.line)
        refuse_foreign_state(settings.line, settings.state)
        self._state = StateFolder(settings.state)
        self._clock = clock or SystemClock()
        secrets = self._state.secrets()
        self.token = secrets[TOKEN]
        self._keyring = Keyring({LINE: [secrets[LINE]], SERVE: [secrets[SERVE]]})
        self._gate = Gate(self.token, self._hosts)
        # Models that stop tell of their last traffic while it drains.
        self._web = WebServer(settings.host, settings.port, self._gate, kept=[EVENTS])
        around = Surroundings(
            line=self.line,
            state=self._state.path,
            clock=self._clock,
            url=self.url,
            serve_key=secrets[SERVE],
            on_finished=self._job_ended,
        )
        self.parts = alter(open_parts(settings, around))
        self._router = Router(
            self.parts.services, self._counted, RouterSettings(flush=settings.flush)
        )
        self._arrivals = self._lookout()
        self._restore = self._restorer()
        self._broker = self._open_broker()
        self._door = Door(
            line=self.line.name,
            keyring=self._keyring,
            clock=self._clock,
            notices=self.parts.deliveries,
            publish=self._broker.republish,
        )
        self._eyes = Eyes(
            self.parts,
            self._arrivals,
            enter=self._door.enter,
            clock=self._clock,
            settings=settings,
        )

    @property
    def url(self) -> str:
        """Where API, events and models answer."""
        return self._web.url

    @property
    def containment(self) -> tuple[str, ...]:
        """What fences foreign code in on this machine."""
        return self.parts.jobs.containment()

    @property
    def bucket_folder(self) -> Path | None:
        """The watched folder, None where the bucket is S3's."""
        return self.parts.bucket.folder

    def start(self) -> None:
        """Take up what a former engine left, then begin to look and to answer."""
        self.parts.deliveries.take_back()
        self._broker.start()
        self.parts.jobs.start()
        self._router.faults.start()
        # Whoever finds the address finds a line: its first commit comes before it.
        introduce(self.settings.line, self.parts.repository, self.line.git.branch)
        self._state.write_private("api.json", json.dumps({"url": self.url, "token": self.token}))
        self._web.serve(by_path(self._router, self._api(), self._gate))
        for event in self.parts.deliveries.owed(before=self._clock.now()):
            self._broker.republish(event)
        self._restore_early()
        self._eyes.start()

    def stop(self) -> None:
        """Drain: what is in flight ends, the rest waits for the next start."""
        self._eyes.stop()
        self._web.drain()
        self._router.faults.stop()
        self.parts.services.close()
        self._broker.stop()
        self.parts.jobs.stop()
        self._web.stop()
        self.parts.ledger.close()
        self._state.release()

    @property
    def _hosts(self) -> tuple[str, ...]:
        """The names by which requests may reach it, besides localhost and plain addresses."""
        return () if self.settings.host in LOOPBACK else (self.settings.host,)

    def _lookout(self) -> Lookout:
        return Lookout(
            self.line.git.branch,
            history=self.parts.history,
            lines=self.parts.lines,
            objects=self.parts.bucket.objects,
            journal=self.parts.journal,
            # S3's objects are whole when they appear.
            settle=self.settings.settle if self.bucket_folder else timedelta(0),
        )

    def _restorer(self) -> Restorer:
        return Restorer(
            history=self.parts.history,
            lines=self.parts.lines,
            services=self.parts.services,
            rollouts=self.parts.rollouts,
            branch=self.line.git.branch,
        )

    def _restore_early(self) -> None:
        """Serve what Git calls stable; what cannot be read yet is restored by reconcile."""
        try:
            self._restore()
        except ConveyorError as error:
            log.warning("nothing could be restored yet: %s", error)

    def _open_broker(self) -> Broker:
        """Bind every station to its ports and put the broker in front of them."""
        outlook = Outlook(
            arrivals=self._arrivals, republish=self._publish_again, restore=self._restore
        )
        stations = bind(self.parts, outlook, self.settings)
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
            deliveries=self.parts.deliveries,
            publish=self._hand_on,
            keyring=self._keyring,
            lease=self.settings.delivery.lease,
        )

    def _hand_on(self, events: Sequence[Event]) -> None:
        self._broker.publish_answers(events)

    def _publish_again(self, event: Event) -> None:
        self._broker.republish(event)

    def _bury(self, event: Event, station: str, code: int, reason: str) -> None:
        deliveries = self.parts.deliveries
        deadletter(event, station=station, code=code, reason=reason, deliveries=deliveries)

    def _job_ended(self, result: JobResult) -> None:
        self._door.enter(finished_event(result, self.line.name, self._clock.now()))

    def _counted(self, window: InferenceObserved) -> None:
        """Take a window that the router itself counted."""
        identity = digest(window.revision, window.instance, str(window.window))
        self._door.enter(
            new_event(window, line=self.line.name, event_id=identity, time=self._clock.now())
        )

    def _api(self) -> WSGIApplication:
        parts = self.parts
        desk = Desk(
            branch=self.line.git.branch,
            door=self._door,
            history=parts.history,
            lines=parts.lines,
            objects=parts.bucket.objects,
            inbox=parts.bucket.inbox,
            jobs=parts.jobs,
            services=parts.services,
            rollouts=parts.rollouts,
            evidence=parts.evidence,
            deliveries=parts.deliveries,
            journal=parts.journal,
            tracer=Trace(parts.ledger),
            republish=self._broker.republish,
            read_log=parts.jobs.read_log,
            look=self._eyes.look,
            problems=self._eyes.complaints,
            waiting=self._arrivals.waiting,
            patience=self.settings.patience,
            address=lambda model: f"{self.url}/v2/models/{quote(model, safe='')}",
        )
        return create_api(desk, token=self.token, hosts=self._hosts)


def run(
    settings: EmbeddedSettings,
    *,
    on_ready: Callable[[Engine], None],
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Run a line until SIGTERM or SIGINT, then drain.

    on_ready is called once it answers, on_end before it drains.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    engine = Engine(settings)
    engine.start()
    on_ready(engine)
    ended.wait()
    on_end()
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
