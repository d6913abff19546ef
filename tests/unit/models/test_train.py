"""What a training run lays out before and after DVC; DVC itself is in tests/integration/jobs."""

import json

import pytest

from conveyor.models.train import add_objects, collect, prepare
from conveyor.pipeline import parse_pipeline

PIPELINE = parse_pipeline(
    b"stages:\n"
    b"  prepare: {cmd: p, outs: [data/rows]}\n"
    b"  train: {cmd: t, deps: [data/rows], outs: [m.skops], metrics: [{f1.json: {cache: false}}]}\n"
)
STAGES = PIPELINE.ancestors("train")
MODEL_MD5 = "20f35e630daf44dbfa4c3f68f5399d8c"


@pytest.fixture
def work(tmp_path):
    (tmp_path / "data/rows").mkdir(parents=True)
    (tmp_path / "data/rows/x").write_bytes(b"model")
    (tmp_path / "m.skops").write_bytes(b"model")
    (tmp_path / "f1.json").write_text('{"f1": 0.5}')
    return tmp_path


def test_a_file_is_added_under_its_md5(work, tmp_path):
    assert add_objects(work / "m.skops", tmp_path / "remote") == MODEL_MD5
    stored = tmp_path / "remote/files/md5" / MODEL_MD5[:2] / MODEL_MD5[2:]
    assert stored.read_bytes() == b"model"


def test_a_folder_is_added_with_its_manifest(work, tmp_path):
    md5 = add_objects(work / "data/rows", tmp_path / "remote")
    manifest = tmp_path / "remote/files/md5" / md5[:2] / md5[2:]
    assert md5.endswith(".dir")
    assert json.loads(manifest.read_bytes()) == [{"md5": MODEL_MD5, "relpath": "x"}]


def test_what_was_laid_out_is_in_dvcs_cache_for_locked_stages(work):
    assert prepare(work, STAGES, {"prepare": {}}) == ["prepare"]
    cached = [path.name for path in (work / ".dvc/cache").rglob("*") if path.is_file()]
    assert MODEL_MD5[2:] in cached
    assert len(cached) == 2
    assert "no_scm = true" in (work / ".dvc/config.local").read_text()


def test_a_cache_that_came_with_the_commit_is_not_used(work):
    (work / ".dvc/cache/files").mkdir(parents=True)
    (work / ".dvc/cache/files/forged").touch()
    prepare(work, STAGES, {})
    assert not (work / ".dvc/cache").exists()


def test_outputs_go_to_the_remote_or_to_git(work):
    collect(work, STAGES, {"prepare": {"a": 1}, "train": {"b": 2}}, ran=["train"])
    report = json.loads((work / "out/report.json").read_text())
    assert report["lock"] == {"prepare": {"a": 1}, "train": {"b": 2}}
    assert report["outputs"]["m.skops"] == {"md5": MODEL_MD5, "size": 5, "cached": True}
    assert report["metrics"] == {"f1.json": {"f1": 0.5}}
    assert (work / "out/git/f1.json").exists()
    assert not (work / "out/git/m.skops").exists()


def test_what_did_not_run_is_not_stored_again(work):
    collect(work, STAGES, {"prepare": {}, "train": {}}, ran=["train"])
    assert [path.name for path in work.glob("out/dvc/files/md5/*/*")] == [MODEL_MD5[2:]]


def test_a_metrics_file_that_is_no_json_is_left_to_its_owner(work):
    (work / "f1.json").write_text("f1: high")
    collect(work, STAGES, {"train": {}}, ran=["train"])
    assert json.loads((work / "out/report.json").read_text())["metrics"] == {"f1.json": None}
