"""What comes into the bucket, good and bad, and what the line makes of it."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

MIB = 2**20
STRANGE = "Proben aus dem Süden/größer & $(kleiner) --all 'x' " + 140 * "l" + ".csv"


def ready_made():
    """A model y = 2x + 1."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "two"], ["double"]),
            helper.make_node("Add", ["double", "one"], ["y"]),
        ],
        "ready",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [
            helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        ],
    )
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


@pytest.mark.slow
def test_broken_data_is_refused_with_reasons_and_the_branch_stays(line, start):
    """Empty, malformed, wrongly encoded, against the schema: each told, its bytes kept."""
    up = start().up()
    broken = [b"", b'x,y\n1,"2\n', b"x,y\n1,\xff\xfe\n", b"x,y\n1,much\n", b"\x89PNG\r\n\x1a\n\0"]
    for number, body in enumerate(broken, 1):
        line.put("points.csv", body)
        refused = up.event("dataset.rejected", number=number)
        assert refused["data"]["reasons"]
        assert line.kept()[f"_conveyor/refused/{refused['data']['upload']}"] == body
    assert not line.commits("points")
    up.handled = len(up.events)
    line.points()
    up.event("dataset.versioned")


@pytest.mark.slow
def test_an_upload_while_its_predecessor_builds_alone_becomes_a_release(line, start):
    """The newest wins: the older data keeps its version, its model is never released."""
    line.params(act="pause")
    up = start().up()
    line.points(offset=1.0)
    up.event("dataset.versioned")
    line.points(offset=2.0)
    up.event("rollout.promoted")
    up.settled()
    assert up.infer(3.0).json()["outputs"][0]["data"] == [8.0]
    assert len(line.commits("points: ")) == 2
    assert line.tags == ["slope#stable#1", "slope@v1.0.0"]
    assert len(up.of("release.created")) == 1


def test_a_directory_is_one_version_once_its_marker_is_there(line, start):
    up = start().up()
    for name in ("a.jpg", "b/c d.jpg", "ü.jpg"):
        line.put(f"photos/{name}", name.encode())
    line.put("photos/_SUCCESS", b"")
    version = up.event("dataset.versioned", dataset="photos")
    assert version["data"]["files"] == 4
    assert len(up.settled().of("dataset.uploaded")) == 1
    assert not up.of("job.finished"), "no model is made from it"


def test_a_file_with_a_strange_name_is_versioned_and_one_that_nobody_takes_is_told(line, start):
    """Spaces, other scripts, shell's and options' characters, 200 of them."""
    text = (line.folder / "conveyor.yaml").read_text()
    named = text.replace("upload: points.csv", f'upload: "{STRANGE}"')
    line.commit(**{"conveyor.yaml": named})
    up = start().up()
    line.put(STRANGE, b"x,y\n1,3\n2,5\n")
    line.put("point.csv", b"x,y\n")
    version = up.event("dataset.versioned")
    assert up.ask("GET", f"/api/v1/trace/{version['data']['commit']}").status == 200
    (ignored,) = up.ask("GET", "/api/v1/status").json()["ignored"]
    assert ignored["key"] == "point.csv"
    assert "write `upload: point.csv`" in ignored["reason"]


@pytest.mark.parametrize(
    "key", ["../outside.csv", "..%2Foutside.csv", "a/%2e%2e%2f..%2foutside.csv"]
)
def test_an_upload_that_would_leave_the_bucket_is_refused(line, start, key):
    up = start().up()
    answered = up.ask("PUT", f"/api/v1/objects/{key}", body=b"x,y\n", preload_content=True)
    assert answered.status in {404, 422}
    assert not list(line.folder.rglob("outside.csv"))


@pytest.mark.slow
def test_a_ready_made_model_is_served_and_a_file_that_is_none_is_refused(line, start):
    up = start().up()
    line.put("ready.onnx", b"this is no model")
    assert "not ONNX" in up.event("model.rejected", model="ready")["data"]["reason"]
    up.handled = len(up.events)
    line.put("ready.onnx", ready_made())
    up.event("rollout.promoted", model="ready")
    assert up.infer(3.0, model="ready").json()["outputs"][0]["data"] == [7.0]


@pytest.mark.slow
def test_huge_data_is_read_in_a_stream_to_its_last_row(line, start):
    """48 MiB whose last row is wrong, then one endless line: refused, in bounded memory."""
    up = start().up().settled()
    before = peak_memory(up.pid)
    for number, body in enumerate((6 * MIB * b"1.0,3.0\n" + b"1,much\n", 48 * MIB * b"1"), 1):
        line.put("points.csv", b"x,y\n" + body)
        reasons = up.event("dataset.rejected", number=number)["data"]["reasons"]
        assert number == 2 or "much" in reasons[0]
    assert peak_memory(up.pid) - before < 400 * MIB
    assert not line.commits("points")


def peak_memory(pid):
    """The most that a process had in memory at once, in bytes (VmHWM of proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
