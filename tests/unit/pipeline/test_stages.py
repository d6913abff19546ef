import pytest

from conveyor.errors import InvalidLine
from conveyor.pipeline import Ingredients, parse_pipeline, run_key

TWO = b"""\
stages:
  train:
    cmd: python train.py
    deps: [data/prepared/rows.csv, train.py]
    params: [depth, other.yaml: [a.b]]
    outs:
    - models/wine.skops: {persist: true}
    metrics:
    - metrics.json: {cache: false}
  prepare:
    cmd: [python a.py, python b.py]
    deps: [data/wine.csv]
    outs: [data/prepared]
  unrelated:
    cmd: python other.py
    deps: [data/other.csv]
    outs: [elsewhere]
"""


def test_ancestors_come_in_the_order_they_run():
    names = [stage.name for stage in parse_pipeline(TWO).ancestors("train")]
    assert names == ["prepare", "train"]


def test_outside_inputs_are_what_no_stage_makes():
    assert parse_pipeline(TWO).outside("train") == ("data/wine.csv", "train.py")


def test_a_cycle_is_named():
    text = b"stages:\n  a: {cmd: a, deps: [y], outs: [x]}\n  b: {cmd: b, deps: [x/file], outs: [y]}"
    with pytest.raises(InvalidLine, match="in a circle: a -> b -> a"):
        parse_pipeline(text)


def test_a_stage_that_reads_its_own_output_is_a_cycle():
    with pytest.raises(InvalidLine, match="s -> s"):
        parse_pipeline(b"stages: {s: {cmd: a, deps: [x], outs: [x]}}")


def test_an_unknown_stage_is_answered_with_the_known_ones():
    with pytest.raises(InvalidLine, match=r"no stage 'trian'.*'prepare', 'train', 'unrelated'"):
        parse_pipeline(TWO).ancestors("trian")


def key(text=TWO, model="wine", stage="train", **changes) -> str:
    given = {"inputs": {"a": "1"}, "params": {"p:d": "3"}, "environment": "e", **changes}
    return run_key(model, parse_pipeline(text), stage, Ingredients(**given))


def test_the_same_ingredients_are_the_same_run():
    assert key() == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"a": "2"}},
        {"inputs": {"b": "1"}},
        {"params": {"p:d": "4"}},
        {"environment": "f"},
        {"forcing": "event"},
        {"model": "beer"},
        {"text": TWO.replace(b"python b.py", b"python c.py")},
        {"stage": "prepare"},
    ],
)
def test_each_ingredient_makes_another_run(changes):
    assert key(**changes) != key()


def test_an_unrelated_stage_changes_nothing():
    assert key(TWO.replace(b"python other.py", b"python another.py")) == key()
