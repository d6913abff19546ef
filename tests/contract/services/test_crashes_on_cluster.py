"""A candidate that crashes on a cluster, where Envoy answers for it."""

import http.server
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3
from servers.inference import only, request

from conveyor.codec import Keyring, decode
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.events import new_event
from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence
from conveyor.domain.line import Line, Model, RolloutPolicy, Serve
from conveyor.domain.payloads import InferenceObserved, ReleaseCreated
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import Registry, ending_message
from conveyor.errors import Rejected
from conveyor.knative.resources import SERVICE
from conveyor.knative.services import KnativeServices
from conveyor.ledger.memory import MemoryEvidence, MemoryRollouts
from conveyor.serving.requests import BucketRequests
from conveyor.stations.judge import judge

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("kind"),
]

ROLLED_BACK = 60.0
"""Seconds from the first request in which a candidate that crashes is to be taken back."""

LINE = Line(name="shop")
NONE = Traffic()
HOST = os.environ.get("CONVEYOR_TEST_HOST", "host.conveyor.test")
KEYS = Keyring({"serve": ["serve-secret-of-the-tests"]})

FAULT = '''
"""Brings the model's process down at 666; the pod's own process is left alone."""
import os
if os.environ.get("CONVEYOR_AWAIT_BUNDLE"):
    from conveyor.serving.session import OnnxSession
    run = OnnxSession.run
    def crash(self, inputs, outputs):
        if inputs["x"].ravel()[0] == 666:
            os._exit(139)
        return run(self, inputs, outputs)
    OnnxSession.run = crash
'''


@pytest.fixture
def kind():
    return "knative"


@pytest.fixture(scope="module")
def crashing_image():
    """The serve image with a fault, built and loaded by the programs of the test cluster."""
    folder = os.environ.get("CONVEYOR_TEST_CLUSTER")
    image = os.environ.get("CONVEYOR_TEST_IMAGE_SERVE")
    if not folder or not image:
        pytest.fail("CONVEYOR_TEST_CLUSTER and CONVEYOR_TEST_IMAGE_SERVE must be set here")
    name, _, mark = image.rpartition(":")
    faulty = f"{name}-crashing:{mark}"
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "sitecustomize.py").write_text(FAULT)
        copied = "COPY --chmod=644 sitecustomize.py /faulty/\nENV PYTHONPATH=/faulty\n"
        (Path(context) / "Dockerfile").write_text(f"FROM {image}\n{copied}")
        build = [Path(folder) / "build-image", "-t", faulty, context]
        subprocess.run(build, check=True, capture_output=True)
    subprocess.run([Path(folder) / "load", faulty], check=True, capture_output=True)
    return faulty


class Broker(http.server.BaseHTTPRequestHandler):
    """Takes events as a broker does."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.events.append(decode(dict(self.headers.items()), body))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def broker(models):
    """A broker on this machine that the pods of the namespace report to."""
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Broker) as server:  # noqa: S104
        server.events = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        sink = {"CONVEYOR_BROKER": f"http://{HOST}:{server.server_port}", "CONVEYOR_FLUSH": "1"}
        models.patch_config(sink)
        yield server.events
        server.shutdown()


@dataclass
class Mixed:
    """Services whose candidate runs the crashing image."""

    good: KnativeServices
    bad: KnativeServices
    candidate: str

    def ensure(self, release, line):
        (self.bad if release.digest == self.candidate else self.good).ensure(release, line)

    def __getattr__(self, name):
        return getattr(self.good, name)


@dataclass
class World:
    """A judge with its ports, of which only services and requests are real."""

    ports: dict
    seen: int = 0

    def wake(self, payload, identity):
        event = new_event(payload, line="shop", event_id=identity, time=datetime.now(UTC))
        return judge(event, **self.ports, patience=timedelta(seconds=20))

    @property
    def rollout(self):
        return self.ports["rollouts"].history("wine")[0][0]


@pytest.fixture
def world(models, first, second, crashing_image):
    bad = KnativeServices(models.cluster, replace(models.settings, image=crashing_image))
    policy = RolloutPolicy(steps=(50,), min_requests=200)
    history = MemoryHistory()
    for number, made in enumerate((first, second)):
        release = replace(made, version=replace(made.version, minor=number))
        commit = history.push({"params.yaml": str(number).encode()})
        history.tag(release.tag, commit, release.message)
    registry = Registry.of("wine", history.tags())
    ending = ending_message(registry.releases[0], rollout="r0", reason="ok")
    history.tag(registry.next_tag("stable"), registry.releases[0].commit, ending)
    model = Model(name="wine", rollout=policy, serve=Serve(idle=timedelta(minutes=5)))
    return World(
        {
            "history": history,
            "lines": MemoryLines(Line(name="shop", models={"wine": model})),
            "services": Mixed(models.services, bad, second.digest),
            "rollouts": MemoryRollouts(),
            "evidence": MemoryEvidence(),
            "requests": BucketRequests(models.objects),
            "objects": models.objects,
        }
    )


def windows(events) -> Iterator[InferenceObserved]:
    for event in events:
        assert KEYS.verify(event) == "serve"
        yield InferenceObserved.from_event(event)


def test_a_candidate_that_crashes_under_traffic_is_rolled_back(
    models, broker, world, first, second
):
    """Envoy answers 502 for it, which nobody of ours counts: its pod tells of each crash."""
    line = world.ports["lines"].line
    services = world.ports["services"]
    services.ensure(first, line)
    services.apply("wine", only(first), expected=NONE)
    services.ensure(second, line)
    latency = (50, *(0 for _ in LATENCY_BOUNDS_MS))
    used = Evidence(requests=50, latency=latency)
    world.ports["evidence"].put(first.digest, "used", 0, used, datetime.now(UTC))
    releases = Registry.of("wine", world.ports["history"].tags()).releases
    candidate = next(each for each in releases if each.digest == second.digest)
    created = ReleaseCreated(
        model="wine",
        release=second.digest,
        version=str(candidate.version),
        onnx=second.onnx,
        tag=candidate.tag,
        commit=candidate.commit,
        stable=first.digest,
        run="run",
    )
    world.wake(created, "created")
    assert services.traffic("wine").as_dict() == {first.digest: 50, second.digest: 50}
    began = time.monotonic()
    failed = drive(models, broker, world, until=began + 2 * ROLLED_BACK)
    assert world.rollout.state.value == "rolled_back"
    assert services.traffic("wine") == only(first)
    assert failed
    assert time.monotonic() - began < ROLLED_BACK


def drive(models, broker, world, *, until):
    """Ask the model as users do, and hand what its pods report to the judge."""
    failed = 0
    host = models.cluster.get(SERVICE, models.settings.namespace, "wine")["status"]["url"][7:]
    url = f"{models.settings.ingress}/v2/models/wine/infer"
    pool = urllib3.PoolManager(retries=False)
    while time.monotonic() < until and not world.rollout.state.is_final:
        try:
            answer = pool.request(
                "POST", url, body=request(666.0), headers={"Host": host}, timeout=10
            )
            failed += answer.status != 200
        except urllib3.exceptions.HTTPError:
            failed += 1
        while world.seen < len(broker):
            event = broker[world.seen]
            world.seen += 1
            world.wake(next(windows([event])), event.id)
        time.sleep(0.05)
    return failed


def test_a_candidate_that_crashes_is_rejected_where_it_is_asked_by_itself(
    models, first, crashing_image
):
    """Replays count it as a failed answer."""
    bad = KnativeServices(models.cluster, replace(models.settings, image=crashing_image))
    bad.ensure(first, LINE)
    assert bad.infer("wine", first.digest, request(1.0))
    with pytest.raises(Rejected, match="died"):
        bad.infer("wine", first.digest, request(666.0))
    assert bad.infer("wine", first.digest, request(1.0))
