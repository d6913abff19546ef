"""A model that serves is foreign code: what it may not do, tried by one, and what it still can."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.codec import decode
from conveyor.domain.line import Line, Model
from conveyor.jobs.fences import Fences
from conveyor.serving.samples import FolderRequests
from conveyor.serving.upstreams import Call

LINE = Line(name="shop", models={"wine": Model(name="wine")})
CALL = Call(
    method="POST",
    path="/v2/models/wine/infer",
    headers=(("Content-Type", "application/json"),),
)
FENCES = Fences.probe(Path(sys.executable))
TRIED = """
import os, socket, sys
def tried(what, deed):
    try:
        deed()
        print(what, "done")
    except OSError as error:
        print(what, "refused")
secret, scratch, bundle, parent, port = sys.argv[1:]
tried("secret", lambda: open(secret).read())
tried("listing", lambda: os.listdir(os.path.dirname(secret)))
tried("bundle", lambda: open(f"{bundle}/model.onnx").read())
tried("tamper", lambda: open(f"{bundle}/model.onnx", "w"))
tried("scratch", lambda: open(f"{scratch}/part", "w"))
tried("environment", lambda: open(f"/proc/{parent}/environ").read())
tried("memory", lambda: open(f"/proc/{parent}/mem", "rb"))
tried("kill", lambda: os.kill(int(parent), 0))
tried("api", lambda: socket.create_connection(("127.0.0.1", int(port))))
tried("listen", lambda: socket.socket().bind(("127.0.0.1", 0)))
tried("port", lambda: socket.socket().bind(("127.0.0.1", int(port) - 1)))
"""


@pytest.fixture
def other():
    """The port of somebody else's server on this machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def places(tmp_path):
    """A secret, a folder to write to and a bundle."""
    for name in ("scratch", "bundle"):
        (tmp_path / name).mkdir()
    (tmp_path / "api.json").write_text("token")
    (tmp_path / "bundle" / "model.onnx").write_text("model")
    return tmp_path


def deeds(places, port, *, connect):
    """Try everything behind the fence; return what was done."""
    around = FENCES.around_server(
        sys.executable,
        read=places / "bundle",
        write=(places / "scratch",),
        connect=connect,
    )
    given = (places / "api.json", places / "scratch", places / "bundle", os.getpid(), port)
    command = [*around, sys.executable, "-c", TRIED, *map(str, given)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in told.splitlines() if line.endswith("done")}


def test_it_reads_its_bundle_writes_its_scratch_and_listens_and_nothing_else(places, other):
    assert deeds(places, other, connect=1) == {"bundle", "scratch", "listen"}


def test_it_reaches_the_engine_that_it_tells_of_its_traffic(places, other):
    assert "api" in deeds(places, other, connect=other)


@pytest.fixture
def heard(listening):
    """The port of an engine, and the events that it was sent."""
    events = []

    def sink(environ, start):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        names = {k[5:].replace("_", "-"): v for k, v in environ.items() if k.startswith("HTTP_")}
        events.append(decode({**names, "content-type": environ["CONTENT_TYPE"]}, body))
        start("202 Accepted", [])
        return [b""]

    return int(listening(sink)), events


@pytest.fixture
def fenced(settings, heard, tmp_path):
    """Settings of processes behind the fence, which keep samples and tell of their traffic."""
    port, _ = heard
    return replace(
        settings,
        sink=f"http://127.0.0.1:{port}/events",
        samples=tmp_path / "bucket",
        around=lambda read, write: FENCES.around_server(
            sys.executable, read=read, write=write, connect=port
        ),
    )


def test_behind_the_fence_it_answers_and_keeps_samples(tmp_path, start, fenced, double, asking):
    services = start(fenced)
    services.ensure(double, LINE)
    large = asking(*[1.0, 2.0] * 60_000)
    with services.hold_release(double.digest) as slot:
        for body in (asking(1.0, 2.0), large):
            assert slot.send(replace(CALL, body=body)).status == 200
    services.close()
    kept = FolderRequests(tmp_path / "bucket").sample(double.digest, 9)
    assert kept == (asking(1.0, 2.0),)


def test_behind_the_fence_it_tells_of_its_traffic(start, fenced, heard, double, asking):
    services = start(fenced)
    services.ensure(double, LINE)
    with services.hold_release(double.digest) as slot:
        slot.send(replace(CALL, body=asking(1.0, 2.0)))
    services.close()
    _, events = heard
    assert [event.data["revision"] for event in events] == [double.digest]
