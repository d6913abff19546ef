"""What an engine finds when it starts, and what does not stop it."""

import resource
import shutil
import socket
import time

import psutil
import pytest

RETRAIN = '    retrain: {cron: "0 3 * * *", missed: once}\n    serve: {idle: 10m}\n'


def answer(up, x=3.0):
    return up.infer(x).json()["outputs"][0]["data"][0]


@pytest.mark.slow
def test_what_was_uploaded_and_pushed_while_it_was_down_is_found_at_start(line, start):
    assert start().up().stop() == 0
    line.params(shift=0.5)
    assert "stored" in line.push().stderr
    line.points()
    up = start().up()
    up.event("rollout.promoted")
    up.settled()
    assert answer(up) == 7.5
    assert len(up.of("source.pushed")) == 2
    assert len(line.trainings) == 1


@pytest.mark.slow
def test_without_ledger_broker_and_services_the_same_stable_serves_and_nothing_is_trained(
    line, start
):
    """Git and bucket are enough: nothing else is needed to go on."""
    up = start().up()
    line.points()
    up.event("rollout.promoted")
    up.settled().stop()
    tags, kept = line.tags, line.kept().keys()
    for path in set(line.state.iterdir()) - {line.repository}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    up = start().up()
    assert answer(up) == 7.0
    up.event("model.converted")
    up.settled()
    assert (answer(up), line.tags, len(line.trainings)) == (7.0, tags, 1)
    assert not up.of("release.created")
    assert not [key for key in line.kept().keys() - kept if "/releases/" in key]


def test_a_second_engine_on_one_state_folder_is_refused_and_the_first_goes_on(line, start):
    first, second = start().up(), start()
    assert second.wait() != 0
    assert f"is in use by another `conveyor up` (process {first.pid})" in second.log
    assert first.ask("GET", "/healthz").status == 200


def test_a_port_that_is_taken_is_named_and_nothing_is_left_behind(line, start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = start(port=port)
        assert refused.wait() != 0
    assert f"port {port} on 127.0.0.1 cannot be used" in refused.log
    assert start(port=port).up().ready["url"].endswith(f":{port}")


@pytest.mark.slow
def test_a_full_disk_loses_nothing_acknowledged_and_the_line_goes_on_when_there_is_room(
    line, start
):
    """No file of the engine can grow; what cannot be stored is refused, not acknowledged."""
    up = start().up().settled()
    room = resource.prlimit(up.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(up.pid, resource.RLIMIT_FSIZE, (1, room[1]))
    notice = {
        "specversion": "1.0",
        "id": "n1",
        "source": "/test",
        "type": "dev.conveyor.dataset.uploaded.v1",
        "data": {"key": "points.csv"},
    }
    headers = {"Authorization": f"Bearer {up.ready['token']}"}
    headers["Content-Type"] = "application/cloudevents+json"
    assert up.ask("POST", "/events", json=notice, headers=headers).status == 503
    line.points()
    while not up.ask("GET", "/api/v1/status").json()["problems"]:
        time.sleep(0.1)
    assert not up.of("dataset.uploaded")
    resource.prlimit(up.pid, resource.RLIMIT_FSIZE, room)
    assert up.ask("POST", "/events", json=notice, headers=headers).status == 202
    up.event("rollout.promoted")
    up.settled()
    assert (answer(up), up.stats["dead"], len(line.trainings)) == (7.0, 0, 1)


@pytest.mark.slow
def test_a_clock_that_jumps_fires_a_tick_once_and_the_line_goes_on(line, start):
    """Three days ahead one retraining is due, not three; back again nothing comes twice."""
    text = (line.folder / "conveyor.yaml").read_text()
    line.commit(**{"conveyor.yaml": text.replace("    serve: {idle: 10m}\n", RETRAIN)})
    line.points()
    up = start().up()
    up.event("rollout.promoted")
    line.shift_clock(days=3)
    up.event("schedule.fired", schedule="retrain")
    up.event("job.finished", job="train", number=2)
    line.shift_clock(days=0)
    line.points(offset=2.0)
    up.event("dataset.versioned", number=2)
    up.event("model.trained", number=3)
    up.settled()
    assert len(up.of("schedule.fired", schedule="retrain")) == 1
    assert up.stats["dead"] == 0


@pytest.mark.slow
def test_ticks_missed_while_it_was_down_are_caught_up_by_policy(line, start):
    """With `missed: once` two nights away are one training, forced although nothing changed."""
    text = (line.folder / "conveyor.yaml").read_text()
    line.commit(**{"conveyor.yaml": text.replace("    serve: {idle: 10m}\n", RETRAIN)})
    line.points()
    up = start().up()
    up.event("rollout.promoted")
    up.settled().stop()
    line.shift_clock(days=2)
    up = start().up()
    up.event("job.finished", job="train", number=2)
    up.settled()
    assert len(up.of("schedule.fired", schedule="retrain")) == 1
    assert len(set(line.trainings)) == 2
    assert len(up.of("release.created")) == 1


@pytest.mark.slow
def test_sigterm_in_the_midst_of_a_training_leaves_no_process_and_the_next_engine_ends_it(
    line, start
):
    line.params(act="pause")
    line.points()
    up = start().up()
    up.until(lambda: any(line.state.glob("jobs/*/process.json")) or up.stats, "a child")
    children = psutil.Process(up.pid).children(recursive=True)
    assert up.stop() == 0
    assert not [child for child in children if child.is_running()]
    up = start().up()
    up.event("rollout.promoted")
    assert line.tags == ["slope#stable#1", "slope@v1.0.0"]


@pytest.mark.slow
def test_an_outage_longer_than_all_retries_needs_no_person(line, start):
    """What died of it goes on by itself after a pause, once."""
    up = start(retries=2).up()
    outage = line.folder.parent / "outage"
    outage.touch()
    line.points()
    up.until(lambda: up.stats.get("dead") == 1, "a dead letter")
    (letter,) = up.ask("GET", "/api/v1/dead-letters").json()["letters"]
    assert (letter["station"], letter["code"], letter["attempts"]) == ("version", 503, 3)
    assert letter["again"] > letter["at"]
    outage.unlink()
    line.shift_clock(minutes=3)
    up.event("dataset.versioned")
    up.event("rollout.promoted")
    up.settled()
    assert (up.stats["dead"], len(line.trainings)) == (0, 1)
