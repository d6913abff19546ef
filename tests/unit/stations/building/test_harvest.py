"""What build commits of a run, and what it refuses to believe."""

import pytest

from conveyor.domain.objects import dvc_object
from conveyor.domain.payloads import ModelRejected, ModelTrained
from conveyor.stations.lockfile import read_lock

MODEL_MD5 = "20f35e630daf44dbfa4c3f68f5399d8c"


@pytest.fixture
def spec(yard, first):
    yard.build(first)
    return yard.specs[0]


def rejected(yard, event) -> str:
    (answer,) = yard.build(event)
    return ModelRejected.from_event(answer).reason


def test_a_run_becomes_a_commit_and_a_trained_model(yard, spec):
    (answer,) = yard.build(yard.end(spec, **yard.harvest_of(spec)))
    trained = ModelTrained.from_event(answer)
    assert (trained.md5, trained.size, trained.run) == (MODEL_MD5, 5, spec.key)
    assert yard.objects.read(trained.source) == b"model"
    files = yard.history.tree(trained.commit).files
    assert set(read_lock(files["dvc.lock"])) == {"prepare", "train"}
    assert files["metrics.json"] == b"{}"
    assert trained.commit == yard.history.head("main")


def test_a_repeat_gives_the_same_answer_and_no_second_commit(yard, spec):
    event = yard.end(spec, **yard.harvest_of(spec))
    first = yard.build(event)
    commits = len(yard.history.commits)
    assert yard.build(event) == first
    assert len(yard.history.commits) == commits


def test_an_unrelated_push_while_it_runs_stays(yard, spec):
    yard.push({"README.md": b"newer"})
    (answer,) = yard.build(yard.end(spec, **yard.harvest_of(spec)))
    assert yard.history.tree(answer.data["commit"]).files["README.md"] == b"newer"


@pytest.mark.parametrize("path", ["train.py", "data/wine.csv.dvc", "dvc.yaml"])
def test_a_change_of_what_it_is_made_from_supersedes_the_run(yard, spec, path):
    if path == "data/wine.csv.dvc":
        yard.versioned(b"newer")
    else:
        yard.push({path: b"stages: {}"})
    head = yard.history.head("main")
    assert yard.build(yard.end(spec, **yard.harvest_of(spec))) == ()
    assert yard.history.head("main") == head


def test_a_model_that_is_gone_from_the_line_supersedes_its_run(yard, spec):
    head = yard.push({"README.md": b"x"}).data["commit"]
    yard.lines.commits[head] = type(yard.line)(name="shop")
    assert yard.build(yard.end(spec, **yard.harvest_of(spec))) == ()


def test_an_event_that_finds_the_result_commits_it_again(yard, first, spec):
    yard.build(yard.end(spec, **yard.harvest_of(spec)))
    back = yard.push({"train.py": b"other"})
    yard.build(back)
    (answer,) = yard.build(yard.push({"train.py": b"t"}))
    assert answer.data["md5"] == MODEL_MD5


def test_an_object_under_a_wrong_md5_is_refused(yard, spec):
    forged = {f"dvc/files/md5/aa/{'0' * 30}": b"poison"}
    event = yard.end(spec, **yard.harvest_of(spec, files=forged))
    assert "md5 is not aa000" in rejected(yard, event)
    assert not [ref for ref in yard.objects.list("_conveyor/dvc/") if "aa/00" in ref.key]


def test_an_output_that_was_not_stored_is_refused(yard, spec):
    made = yard.harvest_of(spec)
    made["outputs"] = {p: k for p, k in made["outputs"].items() if MODEL_MD5[2:] not in p}
    assert "models/wine.skops of run" in rejected(yard, yard.end(spec, **made))


@pytest.mark.parametrize("lock", [None, {}, {"beer": {}, "train": {}}, {"train": {}}, "text"])
def test_a_report_that_does_not_fit_the_pipeline_is_refused(yard, spec, lock):
    made = yard.harvest_of(spec)
    made["report"]["lock"] = lock
    assert "the run's report" in rejected(yard, yard.end(spec, **made))


def test_an_undeclared_output_in_the_lock_is_refused(yard, spec):
    made = yard.harvest_of(spec)
    made["report"]["lock"]["train"]["outs"].append({"path": ".github/x", "md5": "a" * 32})
    assert "locks other outputs" in rejected(yard, yard.end(spec, **made))


def test_files_that_no_stage_declares_never_reach_git(yard, spec):
    made = yard.harvest_of(spec, files={"git/conveyor.yaml": b"line: mine", "git/train.py": b"x"})
    (answer,) = yard.build(yard.end(spec, **made))
    files = yard.history.tree(answer.data["commit"]).files
    assert files["train.py"] == b"t"
    assert "conveyor.yaml" not in files


def test_what_is_too_large_for_git_is_refused(yard, spec):
    made = yard.harvest_of(spec)
    key = made["outputs"]["git/metrics.json"]
    yard.objects.delete(key)
    yard.objects.put(key, b"x" * (16 * 2**20 + 1))
    assert "too many for Git" in rejected(yard, yard.end(spec, **made))


def test_what_is_in_the_remote_already_is_not_read_again(yard, spec):
    yard.objects.put(dvc_object(MODEL_MD5), b"model")
    (answer,) = yard.build(yard.end(spec, **yard.harvest_of(spec)))
    assert answer.type == ModelTrained.event_type()
