from datetime import timedelta
from pathlib import Path

from conveyor.domain.jobs import JobSpec, Limits
from conveyor.jobs.contain import read_cage
from conveyor.jobs.fences import Fences, environment_of

SPEC = JobSpec(
    kind="train",
    key="k1",
    owner="wine",
    command=("true",),
    limits=Limits(timeout=timedelta(seconds=60), cpu=2.0, memory=2**30, disk=2**20),
)
BOTH = Fences(namespaces=True, landlock=True)


def test_the_environment_is_made_from_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    variables = environment_of(SPEC, tmp_path, Path("/env/bin"))
    assert "hunter2" not in variables.values()
    assert variables["PATH"].startswith("/env/bin:")
    assert variables["HOME"] == f"{tmp_path}/home"
    assert variables["OMP_NUM_THREADS"] == "2"
    assert variables["CUDA_VISIBLE_DEVICES"] == ""


def test_the_cage_lets_write_to_the_runs_own_folders_only(tmp_path):
    cage = BOTH.cage(SPEC, tmp_path, ("true",), Path("/env"))
    private = tuple(path for path in cage.write if path != "/dev/shm")  # noqa: S108
    assert private == tuple(f"{tmp_path}/{name}" for name in ("work", "home", "tmp"))
    assert not {"/etc", "/proc"} & set(cage.read)
    assert not any(Path(path) in tmp_path.parents for path in cage.read)


def test_the_cage_has_the_limits(tmp_path):
    cage = BOTH.cage(SPEC, tmp_path, ("true",), Path("/env"))
    assert (cage.cpu_time, cage.file_size) == (121, 2**20)
    assert read_cage(cage.to_json()) == cage


def test_what_does_not_hold_is_said():
    bare = Fences(namespaces=False, landlock=False).describe()
    assert [layer.startswith("NOT cut off") for layer in bare] == [False, True, True, True]
    assert not any(layer.startswith("NOT") for layer in BOTH.describe())
