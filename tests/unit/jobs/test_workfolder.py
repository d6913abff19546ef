from dataclasses import replace

import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.domain.jobs import JobSpec
from conveyor.domain.objects import dvc_object
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.jobs.workfolder import lay_out
from conveyor.pointers import dump_manifest

SPEC = JobSpec(kind="train", key="k1", owner="wine", command=("true",))
MD5 = "a" * 32


def nothing(_commit, _folder):
    pass


@pytest.fixture
def objects():
    made = MemoryObjects()
    made.put(dvc_object(MD5), b"rows")
    return made


def test_checkout_inputs_and_files_are_laid_out(tmp_path, objects):
    def export(commit, folder):
        (folder / "code.py").write_text(commit)

    spec = replace(
        SPEC, checkout="c1", inputs={"data/a.csv": dvc_object(MD5)}, files={"x/y": b"text"}
    )
    lay_out(spec, tmp_path, objects, export)
    assert (tmp_path / "code.py").read_text() == "c1"
    assert (tmp_path / "data/a.csv").read_bytes() == b"rows"
    assert (tmp_path / "x/y").read_bytes() == b"text"


def test_what_a_commit_has_in_out_is_not_taken_for_a_result(tmp_path, objects):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    lay_out(SPEC, tmp_path, objects, nothing)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_manifest_is_laid_out_as_a_directory(tmp_path, objects):
    key = dvc_object("b" * 32 + ".dir")
    objects.put(key, dump_manifest([("deep/a.csv", MD5), ("b.csv", MD5)]))
    lay_out(replace(SPEC, inputs={"data/reviews": key}), tmp_path, objects, nothing)
    assert (tmp_path / "data/reviews/deep/a.csv").read_bytes() == b"rows"
    assert (tmp_path / "data/reviews/b.csv").read_bytes() == b"rows"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "", "a/../../x", "a\0b"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, objects, path):
    with pytest.raises(Rejected, match="no path inside"):
        lay_out(replace(SPEC, files={path: b""}), tmp_path, objects, nothing)


def test_a_link_in_the_commit_is_not_followed(tmp_path, objects):
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    spec = replace(SPEC, checkout="c", files={"data/x": b"text"})
    with pytest.raises(Rejected, match="no path inside"):
        lay_out(spec, work, objects, lambda _c, folder: (folder / "data").symlink_to(outside))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "manifest", [b"{", b"[3]", b'[{"relpath": "../x", "md5": "%s"}]' % MD5.encode()]
)
def test_a_hostile_manifest_is_refused(tmp_path, objects, manifest):
    key = dvc_object("c" * 32 + ".dir")
    objects.put(key, manifest)
    (tmp_path / "w").mkdir()
    with pytest.raises(ConveyorError):
        lay_out(replace(SPEC, inputs={"d": key}), tmp_path / "w", objects, nothing)
    assert not (tmp_path / "x").exists()


def test_a_missing_input_is_said(tmp_path, objects):
    with pytest.raises(NotFound):
        lay_out(replace(SPEC, inputs={"d": "nowhere"}), tmp_path, objects, nothing)
