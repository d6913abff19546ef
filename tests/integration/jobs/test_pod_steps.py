"""The three steps of a pod, one after the other on one volume, as the cluster runs them."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.cluster.fetch import prepare
from conveyor.cluster.store import keep
from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.jobs import FAILED, SUCCEEDED
from conveyor.errors import NotFound, Rejected, Superseded, Unavailable
from conveyor.jobs import volume
from conveyor.jobs.environment import Environments
from conveyor.jobs.fences import Fences
from conveyor.jobs.fetch import Pantry
from conveyor.jobs.work import Image, perform
from conveyor.runs import dump_spec, fingerprint, read_result, spec_key

IN_A_POD = Fences(namespaces=False, landlock=True)


class Pod:
    """One volume and who works on it."""

    def __init__(self, shared: Path) -> None:
        self.shared, self.objects, self.stop = shared, MemoryObjects(), threading.Event()
        self.image = Image(
            python=Path(sys.executable),
            baked=shared / "none",
            environment=Path(sys.prefix),
            group=shared / "group",
        )
        shared.mkdir()

    def ask(self, spec):
        text = dump_spec(spec)
        self.name = (spec.key, fingerprint(text))
        self.objects.put(spec_key(*self.name), text)

    def fetch(self):
        environments = Environments(self.shared / "environments", Path(sys.executable), {})
        pantry = Pantry(
            objects=self.objects,
            datasets=MemoryDatasets(self.objects),
            export=lambda commit, folder: (folder / "commit").write_text(commit),
            environments=environments,
            baked=volume.offered(self.shared),
        )
        prepare(*self.name, self.shared, pantry, stop=self.stop)

    def work(self):
        perform(self.shared, self.image, IN_A_POD, self.stop)

    def store(self):
        keep(*self.name, self.shared, self.objects, stop=self.stop)
        return read_result(self.objects, self.name[0])

    def end_of(self, spec):
        self.ask(spec)
        for step in (self.fetch, self.work):
            step()
        return self.store()


@pytest.fixture
def pod(tmp_path):
    return Pod(tmp_path / "job")


def test_a_run_goes_from_step_to_step(pod, python_job, capfd):
    code = "print('hello'); open('out/model', 'w').write(open('commit').read())"
    result = pod.end_of(replace(python_job(code), checkout="c1"))
    assert (result.state, result.log, result.owner) == (SUCCEEDED, "hello\n", "wine")
    assert pod.objects.read(result.outputs["model"]) == b"c1"
    assert capfd.readouterr().out == "hello\n"


def test_a_command_that_fails_is_no_failed_pod(pod, python_job):
    result = pod.end_of(python_job("raise ValueError('depth')"))
    assert result.state == FAILED
    assert result.reason == "training ended with exit code 1: ValueError: depth"


def test_what_cannot_be_laid_out_is_the_end_and_nothing_works(pod, python_job):
    spec = replace(python_job("print('worked')"), inputs={"a.csv": "_conveyor/lost"})
    result = pod.end_of(spec)
    assert result.state == FAILED
    assert "_conveyor/lost" in result.reason
    assert result.log == ""


def test_requirements_that_the_image_has_need_no_environment(pod, python_job):
    pod.image.baked.write_text("numpy==2\n")
    volume.offer(pod.shared, pod.image.baked)
    result = pod.end_of(replace(python_job("print('worked')"), requirements="numpy==2\n"))
    assert result.log == "worked\n"
    assert not (pod.shared / "environments").exists()


def test_a_bucket_that_is_away_says_nothing_of_the_run(pod, python_job):
    pod.ask(replace(python_job("pass"), inputs={"a.csv": "_conveyor/a"}))
    pod.objects.download = failing
    with pytest.raises(Unavailable):
        pod.fetch()
    assert not volume.has_ended(pod.shared)


def failing(*_):
    raise Unavailable("the bucket is away")


def test_a_pod_that_must_go_leaves_no_word_of_its_run(pod, python_job):
    pod.ask(python_job("import time; time.sleep(60)"))
    pod.fetch()
    threading.Timer(0.5, pod.stop.set).start()
    with pytest.raises(Superseded):
        pod.work()
    pod.stop.clear()
    with pytest.raises(NotFound):
        pod.store()


def test_a_kill_for_memory_by_the_kernel_fails_the_container(pod, python_job):
    pod.ask(python_job("pass", memory=64 * 2**20))
    pod.fetch()
    pod.image.group.mkdir()
    (pod.image.group / "memory.events").write_text("oom 1\noom_kill 1\n")
    with pytest.raises(Rejected, match="more than 64 MiB of memory"):
        pod.work()


def test_a_changed_specification_is_never_run(pod, python_job):
    pod.ask(python_job("pass"))
    pod.name = ("k1", fingerprint(b"another"))
    pod.objects.put(spec_key(*pod.name), dump_spec(python_job("forged")))
    with pytest.raises(Rejected, match="was changed"):
        pod.fetch()


@pytest.mark.parametrize("what", ["out", "work"])
def test_a_folder_that_became_a_link_shows_nothing_of_the_store(pod, python_job, tmp_path, what):
    """Landlock forbids some of it; without it the store must not follow either."""
    (tmp_path / "secret/out").mkdir(parents=True)
    (tmp_path / "secret/out/key").write_text("hunter2")
    pod.ask(python_job("pass"))
    pod.fetch()
    pod.work()
    left = pod.shared / "run/work" if what == "work" else pod.shared / "run/work/out"
    left.rename(tmp_path / "moved")
    left.symlink_to(tmp_path / ("secret" if what == "work" else "secret/out"))
    result = pod.store()
    assert result.outputs == {}
    assert "a link" in result.reason


def test_a_log_that_became_a_link_is_not_stored(pod, python_job, tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    pod.ask(python_job("pass"))
    pod.fetch()
    pod.work()
    (pod.shared / "run/log").unlink()
    (pod.shared / "run/log").symlink_to(tmp_path / "secret")
    pod.store()
    with pytest.raises(NotFound):
        pod.objects.read("_conveyor/runs/k1/log.txt")


def test_in_one_machine_too_out_is_never_followed_as_a_link(bench, python_job):
    """Found while the steps were taken apart: a link in place of out/ itself was walked into."""
    secret = bench.state / "secret"
    secret.mkdir()
    (secret / "key").write_text("hunter2")
    code = f"import os; os.rmdir('out'); os.symlink({str(secret)!r}, 'out')"
    result = bench.end_of(python_job(code))
    assert (result.state, result.outputs) == (FAILED, {})
