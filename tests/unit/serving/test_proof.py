import pytest

from conveyor.errors import Rejected
from conveyor.serving.proof import differs, prove


def outputs(data, *, shape=(2,), datatype="FP32", name="y"):
    return {"outputs": [{"name": name, "datatype": datatype, "shape": list(shape), "data": data}]}


@pytest.mark.parametrize(
    ("was", "now"),
    [([1.0, 2.0], [1.0001, 2]), ([None, 0.0], [None, 1e-6]), ([[1.0, 2.0]], [1.0, 2.0])],
)
def test_rounding_and_nesting_make_no_difference(was, now):
    assert not differs(outputs(was), outputs(now))


@pytest.mark.parametrize(
    "now",
    [
        outputs([1.0, 2.1]),
        outputs([1.0, None]),
        outputs([1.0, 2.0], shape=(2, 1)),
        outputs([1.0, 2.0], datatype="FP64"),
        outputs([1.0, 2.0], name="z"),
    ],
)
def test_another_answer_is_named(now):
    assert "y" in differs(outputs([1.0, 2.0]), now)


def test_labels_must_be_equal():
    assert differs(outputs(["a", "b"], datatype="BYTES"), outputs(["a", "c"], datatype="BYTES"))


def test_a_session_that_gives_the_stored_answer_is_proven(manifest, session):
    prove(manifest, session)


def test_a_session_that_gives_another_answer_is_rejected(manifest, session):
    manifest.sample["response"]["outputs"][0]["data"] = [0]
    with pytest.raises(Rejected, match="answered differently"):
        prove(manifest, session)
