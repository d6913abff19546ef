"""The API and the command line against a real engine on a line of its own, over HTTP."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
from click.testing import CliRunner

from conveyor.cli.client import Client, NotReachable
from conveyor.cli.main import cli
from conveyor.domain.payloads import OutcomeObserved
from conveyor.embedded.engine import Engine
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.errors import NotFound, Rejected, Unauthorized
from conveyor.scaffold import init


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made: Path = tmp_path_factory.mktemp("line")
    init(made, template="classification", name="shop")
    return made


@pytest.fixture(scope="module")
def engine(folder) -> Iterator[Engine]:
    settings = EmbeddedSettings.from_env(os.environ, line=folder, state=None)
    made = Engine(replace(settings, port=0))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(engine) -> Iterator[Client]:
    made = Client(engine.url, engine.token)
    yield made
    made.close()


def conveyor(folder, *arguments: str):
    address = json.loads((folder / ".conveyor" / "api.json").read_text())
    named = {"CONVEYOR_URL": address["url"], "CONVEYOR_TOKEN": address["token"]}
    return CliRunner().invoke(cli, arguments, env=named)


def test_the_board_of_a_new_line_says_what_it_waits_for(client):
    told = client.status()
    assert (told["line"], told["ready"]) == ("shop", True)
    assert told["data"][0]["waits"] == "waits for its first upload: shop/shop.csv"


def test_refused_data_is_followed_from_the_upload_to_its_reason(engine, folder, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    answer = conveyor(folder, "put", str(broken), "shop/shop.csv", "--wait", "--timeout", "30")
    assert answer.exit_code == 1
    assert "shop: refused: the column" in answer.output
    status = conveyor(folder, "status")
    assert "refused" in status.output
    events = conveyor(folder, "events", "--type", "dataset.rejected")
    assert "✗ shop: refused" in events.output


def test_an_upload_is_traced_to_what_came_of_it(engine, client, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("a\n1\n")
    stored = client.put(file, "shop/shop.csv")
    event = client.uploaded("shop/shop.csv", stored["after"])
    assert list(client.story(event, timeout=30))[-1]["failed"]
    report = client.trace(event)
    assert [node["direction"] for node in report["events"]] == ["here", "down"]


def test_a_large_upload_arrives_byte_by_byte(client, engine, tmp_path):
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(range(256)) * 2**14)
    sent = []
    stored = client.put(file, "other/large.bin", progress=sent.append)
    assert (stored["size"], sum(sent)) == (2**22, 2**22)
    assert (engine.bucket_folder / "other/large.bin").read_bytes() == file.read_bytes()


def test_a_push_that_changes_no_model_is_told_to_its_pusher(engine, client, folder):
    (folder / "README.md").write_text("nothing that a model is made from\n")
    subprocess.run(["git", "-C", folder, "commit", "-qam", "words"], check=True)
    pushed = subprocess.run(
        ["git", "-C", folder, "push", "-q", "conveyor", "main"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "nothing to build" in pushed.stderr


def test_a_long_poll_ends_as_soon_as_something_happens(client, engine):
    after = client.events(-1)["next"]
    found: list[float] = []

    def wait() -> None:
        other = Client(engine.url, engine.token)
        other.events(after, types=[OutcomeObserved.event_type()], wait=20)
        found.append(time.monotonic())
        other.close()

    thread = threading.Thread(target=wait)
    thread.start()
    began = time.monotonic()
    outcome = OutcomeObserved(prediction="p-1", outcome="good", model="shop")
    event = {
        "specversion": "1.0",
        "id": "o1",
        "source": "/till",
        "type": outcome.event_type(),
        "data": outcome.to_data(),
    }
    headers = {"Content-Type": "application/cloudevents+json"}
    client.take(headers, json.dumps(event).encode())
    thread.join(25)
    assert found[0] - began < 10


def test_nothing_passes_with_a_wrong_token_and_a_forged_event_is_refused(engine):
    stranger = Client(engine.url, "x" * 43)
    with pytest.raises(Unauthorized):
        stranger.status()
    forged = {
        "specversion": "1.0",
        "id": "f",
        "source": "/conveyor/shop",
        "type": "dev.conveyor.model.converted.v1",
        "conveyorrole": "line",
        "conveyorsig": "0" * 64,
        "data": {},
    }
    headers = {"Content-Type": "application/cloudevents+json"}
    with pytest.raises(Unauthorized):
        stranger.take(headers, json.dumps(forged).encode())
    stranger.close()


def test_a_key_with_dots_that_a_client_did_not_tidy_is_refused(engine, folder):
    pool = urllib3.HTTPConnectionPool("127.0.0.1", int(engine.url.rpartition(":")[2]))
    headers = {"Authorization": f"Bearer {engine.token}"}
    for key in ("%2e%2e/outside", "_conveyor/runs/x", "a/%2e%2e/%2e%2e/outside"):
        answer = pool.urlopen("PUT", f"/api/v1/objects/{key}", body=b"x", headers=headers)
        assert answer.status >= 400
    pool.close()
    assert not list(folder.glob("**/outside"))


def test_what_does_not_exist_is_said_so(client):
    with pytest.raises(NotFound):
        client.trace("nothing")
    with pytest.raises(NotFound):
        client.run_log("nothing")
    with pytest.raises(NotFound):
        client.command("beer", "pause", by="anna")
    with pytest.raises(Rejected):
        client.command("shop", "pause", by="anna")


def test_where_no_engine_runs_the_client_says_how_to_start_one():
    with pytest.raises(NotReachable, match="conveyor up"):
        Client("http://127.0.0.1:9").status()
