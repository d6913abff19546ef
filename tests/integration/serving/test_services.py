"""Serve processes on this machine: cold starts, idle stops, crashes, orphans, restarts."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.domain.traffic import Traffic
from conveyor.errors import Rejected, Unavailable
from conveyor.serving import leftovers

NONE = Traffic()


def all_to(release):
    return Traffic(((release.digest, 100),))


def data_of(answer):
    return json.loads(answer)["outputs"][0]["data"]


def until(met, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def pid_of(services):
    return services.instances()[0].pid


def test_a_release_answers_at_its_own_url_once_ensured(services, double, line, asking):
    services.ensure(double, line())
    assert data_of(services.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]


def test_an_idle_release_is_stopped_and_starts_again_on_demand(services, double, line, asking):
    services.ensure(double, line(idle=timedelta(milliseconds=200)))
    first = pid_of(services)
    until(lambda: pid_of(services) == 0)
    assert data_of(services.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]
    assert pid_of(services) not in {0, first}


def test_what_is_left_of_a_dropped_release_goes_in_the_end_and_comes_back_with_it(
    services, double, triple, line, tmp_path
):
    """What has a place stays however old it is."""
    bundle = tmp_path / "state" / "bundles" / double.digest
    today = datetime.now(UTC)
    later, last = today + timedelta(days=40), today + timedelta(days=80)
    services.ensure(double, line())
    services.apply("wine", all_to(double), expected=NONE)
    services.tidy(later)
    pid = pid_of(services)
    services.apply("wine", all_to(triple), expected=all_to(double))
    until(lambda: not leftovers.began(pid))
    services.tidy(later)
    assert bundle.exists()
    services.tidy(last)
    assert not bundle.exists()
    assert not services.log(double.digest).exists()
    services.ensure(double, line())
    assert bundle.exists()


def test_a_release_that_drops_out_of_the_traffic_is_stopped(services, double, triple, line):
    services.ensure(double, line())
    services.apply("wine", all_to(double), expected=NONE)
    pid = pid_of(services)
    services.apply("wine", all_to(triple), expected=all_to(double))
    until(lambda: not leftovers.began(pid))
    assert list(services.releases()) == [triple.digest]


def test_a_killed_process_starts_again_at_the_next_request(services, double, line, asking):
    services.ensure(double, line())
    os.kill(pid_of(services), signal.SIGKILL)
    until(lambda: pid_of(services) == 0)
    assert data_of(services.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]


@pytest.fixture
def deadly(start, crashing, double, line):
    """Services whose release dies at 666."""
    services = start(crashing(double))
    services.ensure(double, line())
    return services


def test_a_release_that_dies_while_it_answers_is_rejected(deadly, double, asking):
    with pytest.raises(Rejected, match="did not answer at all"):
        deadly.infer("wine", double.digest, asking(666, 0))


def test_a_release_that_keeps_crashing_waits_before_it_starts_again(deadly, double, asking):
    for _ in range(2):
        with pytest.raises(Rejected):
            deadly.infer("wine", double.digest, asking(666, 0))
    with pytest.raises(Unavailable, match="starts again in"):
        deadly.infer("wine", double.digest, asking(1, 2))
    time.sleep(0.6)
    assert data_of(deadly.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]


def test_a_model_that_answers_its_sample_differently_is_rejected_with_the_log(
    services, forger, line
):
    with pytest.raises(Rejected, match="the stored sample is answered differently"):
        services.ensure(forger, line())


def test_a_start_that_takes_too_long_is_rejected(start, settings, tmp_path, double, line):
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time; time.sleep(60)")
    late = replace(settings, command=(str(hanging),), startup=timedelta(milliseconds=300))
    with pytest.raises(Rejected, match="did not start"):
        start(late).ensure(double, line())


def test_a_bundle_that_was_changed_on_disk_is_fetched_again(
    services, tmp_path, double, line, asking
):
    folder = tmp_path / "state" / "bundles" / double.digest
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"half a mod")
    services.ensure(double, line())
    assert data_of(services.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]


def test_the_traffic_survives_a_restart_of_the_engine(start, settings, double, line, asking):
    first = start(settings)
    first.ensure(double, line())
    first.apply("wine", all_to(double), expected=NONE)
    first.close()
    second = start(settings)
    assert second.traffic("wine") == all_to(double)
    with second.hold("wine", 0.5) as upstream:
        assert upstream.release == double.digest
    assert data_of(second.infer("wine", double.digest, asking(1, 2))) == [2.0, 4.0]


def test_other_serve_settings_replace_the_process(services, double, line):
    services.ensure(double, line(cpu=1))
    first = pid_of(services)
    services.ensure(double, line(cpu=2))
    assert pid_of(services) != first
    until(lambda: not leftovers.began(first))


def test_closing_leaves_no_process_behind(services, double, triple, line):
    for release in (double, triple):
        services.ensure(release, line())
    pids = [instance.pid for instance in services.instances()]
    services.close()
    assert [leftovers.began(pid) for pid in pids] == ["", ""]


def test_orphans_of_a_killed_engine_are_stopped_and_other_processes_left_alone(tmp_path):
    command = ["sleep", "60"]
    with subprocess.Popen(command) as orphan, subprocess.Popen(command) as stranger:
        leftovers.note(tmp_path, orphan.pid)
        reused = leftovers.note(tmp_path, stranger.pid)
        reused.write_text(json.dumps({"pid": stranger.pid, "began": "another time"}))
        assert leftovers.stop_all(tmp_path) == 1
        assert orphan.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_asks_for_more_memory_than_declared_fails_that_request_alone(
    services, faulty, line, asking
):
    hungry = faulty("hungry")
    services.ensure(hungry, line(memory=256 * 2**20))
    with pytest.raises(Rejected, match="answered 500"):
        services.infer("wine", hungry.digest, asking(2000, 0))
    services.infer("wine", hungry.digest, asking(1, 0))
    assert services.instances()[0].crashes == 0
