from datetime import timedelta

from conveyor.domain.jobs import JobSpec, Limits, Upload
from conveyor.jobs import specs

SPEC = JobSpec(
    kind="train",
    key="k1",
    owner="wine",
    command=("python", "-c", "pass"),
    checkout="c1",
    inputs={"a": "b"},
    files={"x": b"\xff\x00"},
    requirements="numpy\n",
    limits=Limits(timeout=timedelta(minutes=5), memory=7, gpu=1),
    reads=Upload(bucket="b", key="k", version="1", etag="e", size=3, modified="2026-01-01"),
)


def test_a_specification_survives_whole(tmp_path):
    specs.save(tmp_path / "k1", SPEC, "2026-01-01")
    assert list(specs.load_all(tmp_path)) == [(SPEC, "2026-01-01")]


def test_the_oldest_comes_first(tmp_path):
    for key, since in (("a", "2026-01-02"), ("b", "2026-01-01")):
        specs.save(tmp_path / key, JobSpec(kind="t", key=key, owner="o", command=()), since)
    assert [spec.key for spec, _ in specs.load_all(tmp_path)] == ["b", "a"]


def test_a_folder_without_one_is_removed(tmp_path):
    (tmp_path / "left/work").mkdir(parents=True)
    assert list(specs.load_all(tmp_path)) == []
    assert not (tmp_path / "left").exists()


def test_it_is_readable_by_its_owner_only(tmp_path):
    specs.save(tmp_path / "k1", SPEC, "2026-01-01")
    assert (tmp_path / "k1").stat().st_mode & 0o077 == 0
