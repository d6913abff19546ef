import json
from dataclasses import replace

import pytest

from conveyor.domain.checks import Finding, Reading
from conveyor.domain.line import Dataset, Line
from conveyor.domain.objects import dvc_object, refused_key
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetVersioned,
    ModelVersioned,
)
from conveyor.errors import Superseded
from conveyor.pointers import read_pointer

WINE = Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv", owner="a@shop.example")
ROWS = b"a,b\n1,2\n3,4\n"


def test_good_data_gets_a_pointer_with_its_verdict_and_its_bytes_are_kept(make_world):
    world = make_world()
    event = world.uploaded(ROWS)
    (answer,) = world.run(event)
    made = DatasetVersioned.from_event(answer)
    pointer = world.pointer()
    assert (pointer.md5, pointer.rows, pointer.owner) == (made.md5, 2, "a@shop.example")
    assert world.objects.read(dvc_object(made.md5)) == ROWS
    assert json.loads(world.objects.read(made.verdict))["accepted"] is True
    assert made.commit == world.history.head("main")


def test_a_repeated_upload_makes_one_commit(make_world):
    world = make_world()
    event = world.uploaded(ROWS)
    first, second = world.run(event), world.run(event)
    assert first == second
    assert world.commits() == 2


def test_the_same_bytes_uploaded_again_make_no_commit_and_keep_their_first_upload(make_world):
    world = make_world()
    first = world.uploaded(ROWS)
    world.run(first)
    world.history.push({"README.md": b"hello"})
    (answer,) = world.run(world.uploaded(ROWS))
    assert world.commits() == 3
    assert world.pointer().upload == first.id
    assert DatasetVersioned.from_event(answer).commit == world.history.head("main")


def test_the_same_bytes_under_another_declaration_are_committed(make_world):
    world = make_world()
    world.run(world.uploaded(ROWS))
    world.lines.line = Line(name="shop", data={"wine": replace(WINE, sensitivity="public")})
    world.run(world.uploaded(ROWS))
    assert (world.commits(), world.pointer().sensitivity) == (3, "public")


def test_bytes_that_come_back_after_others_are_committed(make_world):
    world = make_world()
    for body in (ROWS, ROWS + b"5,6\n", ROWS):
        world.run(world.uploaded(body))
    assert world.commits() == 4


def test_the_same_model_uploaded_again_makes_no_commit(make_world):
    world = make_world()
    for _ in range(2):
        (answer,) = world.run(world.uploaded(b"onnx", key="tea.onnx"))
    assert world.commits() == 2
    assert ModelVersioned.from_event(answer).commit == world.history.head("main")


def test_refused_data_leaves_the_branch_and_keeps_bytes_and_reason(make_world):
    world = make_world()
    event = world.uploaded(ROWS)
    world.datasets.prepared[WINE.upload] = Reading(
        md5="0" * 32,
        size=1,
        rows=2,
        findings=(Finding(check="type", where="a", message="a is text"),),
    )
    (answer,) = world.run(event)
    refused = DatasetRejected.from_event(answer)
    assert refused.reasons == ["a is text"]
    assert world.commits() == 1
    assert world.objects.read(refused_key(event.id)) == ROWS
    assert json.loads(world.objects.read(refused.verdict))["findings"][0]["where"] == "a"


def test_a_version_that_lost_most_rows_is_refused_against_the_pointer_before(make_world):
    world = make_world()
    world.run(world.uploaded(b"a\n" + b"1\n" * 10))
    (answer,) = world.run(world.uploaded(b"a\n1\n"))
    assert "1 rows" in DatasetRejected.from_event(answer).reasons[0]


@pytest.mark.parametrize("versioned", [True, False])
def test_an_overwritten_upload_gives_way_to_the_newer_one(make_world, versioned):
    world = make_world(versioned=versioned)
    older = world.uploaded(ROWS)
    newer = world.uploaded(ROWS + b"5,6\n")
    with pytest.raises(Superseded):
        world.run(older)
    (answer,) = world.run(newer)
    assert DatasetVersioned.from_event(answer).rows == 3
    assert world.commits() == 2


def test_a_data_set_that_is_declared_no_more_is_superseded(make_world):
    world = make_world()
    event = world.uploaded(ROWS)
    world.lines.line = Line(name="shop")
    with pytest.raises(Superseded, match="no data set"):
        world.run(event)


def test_without_a_copy_the_pointer_pins_the_buckets_own_version(make_world):
    world = make_world(dataset=Dataset(name="wine", upload=WINE.upload, path=WINE.path, copy=False))
    (answer,) = world.run(world.uploaded(ROWS))
    md5 = DatasetVersioned.from_event(answer).md5
    assert world.pointer().source.version == "1"
    assert dvc_object(md5) not in world.objects.stored


def test_a_ready_made_model_is_stored_by_digest_and_pinned(make_world):
    world = make_world()
    (answer,) = world.run(world.uploaded(b"onnx", key="tea.onnx"))
    made = ModelVersioned.from_event(answer)
    assert world.objects.read(made.source) == b"onnx"
    tree = world.history.tree(made.commit)
    assert read_pointer(tree.read("models/tea.onnx.dvc")).md5 == made.md5
