import pytest

from conveyor.errors import InvalidLine, Superseded
from conveyor.pipeline import parse_pipeline
from conveyor.stations.lockfile import lock_outs, merge_lock, read_lock

PIPELINE = parse_pipeline(
    b"stages:\n  prepare: {cmd: p, deps: [a.csv], outs: [rows]}\n"
    b"  train: {cmd: t, deps: [rows], outs: [m]}\n  other: {cmd: o, outs: [x]}\n"
)
A, B, C, D = (letter * 32 for letter in "abcd")


def entry(dep: tuple[str, str] | None, out: tuple[str, str], **more) -> dict:
    deps = [{"path": dep[0], "hash": "md5", "md5": dep[1], "size": 1}] if dep else []
    outs = [{"path": out[0], "hash": "md5", "md5": out[1], "size": 1}]
    return {"cmd": "c", "deps": deps, "outs": outs, **more}


RUN = {"prepare": entry(("a.csv", A), ("rows", B)), "train": entry(("rows", B), ("m", C))}


def merged(head: dict | None, run=RUN, current=None) -> dict:
    start = b"" if head is None else merge_lock(None, head, pipeline=PIPELINE, current={})
    return read_lock(merge_lock(start, run, pipeline=PIPELINE, current=current or {}))


def test_a_first_lock_holds_the_runs_entries():
    assert merged(None) == RUN


def test_other_stages_stay_as_they_are():
    head = {"other": entry(None, ("x", D), desc="a person's")}
    assert merged(head) == {**RUN, **head}


def test_entries_are_replaced_by_the_runs():
    head = {"train": entry(("rows", D), ("m", D))}
    assert merged(head)["train"] == RUN["train"]


def test_merging_twice_gives_the_same_bytes():
    once = merge_lock(None, RUN, pipeline=PIPELINE, current={})
    assert merge_lock(once, RUN, pipeline=PIPELINE, current={}) == once
    assert once.startswith(
        b"schema: '2.0'\nstages:\n  prepare:\n    cmd: c\n    deps:\n    - path: "
    )


def test_an_md5_of_digits_stays_a_string():
    run = {"prepare": entry(("a.csv", "1" * 32), ("rows", "2" * 32))}
    assert merged(None, run) == run


def test_data_that_changed_meanwhile_supersedes_the_run():
    with pytest.raises(Superseded, match=r"a\.csv is dddd"):
        merged(None, current={"a.csv": D})


def test_another_upstream_output_at_the_head_supersedes_the_run():
    head = {"prepare": entry(("a.csv", A), ("rows", D))}
    with pytest.raises(Superseded, match="rows"):
        merged(head, {"train": RUN["train"]})


def test_a_stage_that_is_gone_supersedes_the_run():
    with pytest.raises(Superseded, match="no stage 'gone'"):
        merged(None, {"gone": entry(None, ("m", C))})


@pytest.mark.parametrize("md5", ["", "../../x", "A" * 32, 3, None])
def test_what_is_no_md5_is_refused(md5):
    broken = {"cmd": "c", "outs": [{"path": "m", "md5": md5}]}
    with pytest.raises(InvalidLine, match="expected a path and its md5"):
        lock_outs(PIPELINE.stage("train"), broken)


def test_undeclared_outputs_of_an_entry_are_left_out():
    assert lock_outs(PIPELINE.stage("train"), entry(None, ("../etc/passwd", A))) == {}


def test_no_lock_has_no_entries():
    assert read_lock(None) == {}


def test_a_lock_that_is_none_is_refused():
    with pytest.raises(InvalidLine, match=r"dvc\.lock"):
        read_lock(b"stages: 3")
