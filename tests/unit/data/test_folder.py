"""What only a folder that stands for the bucket has to guard against."""

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from conveyor.data.folder import FolderObjects
from conveyor.errors import NotFound, Rejected, Superseded, Unavailable


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bucket"


@pytest.fixture
def objects(root):
    return FolderObjects(root)


def keys(objects):
    return [ref.key for ref in objects.list()]


def test_hidden_temporary_and_special_files_are_not_listed(root, objects):
    for name in (".hidden", "a.csv.tmp", "a.csv.part", "a.csv~", ".git/config", "a.crdownload"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"x")
    (root / "real.csv").write_bytes(b"x")
    assert keys(objects) == ["real.csv"]


def test_a_file_that_a_program_still_writes_to_is_not_listed(root, objects):
    with (root / "a.csv").open("wb") as file:
        file.write(b"half")
        file.flush()
        assert keys(objects) == []
    assert keys(objects) == ["a.csv"]


def test_a_writer_in_another_process_is_seen_and_never_harmed(root, objects):
    code = (
        "import sys; file = open(sys.argv[1], 'a'); file.write('x'); file.flush();"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(root / "a.csv")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as writer:
        writer.stdout.readline()
        assert keys(objects) == []
        writer.stdin.close()
        assert writer.wait() == 0
    assert keys(objects) == ["a.csv"]


def test_listing_while_writers_come_and_go_harms_neither(root, objects):
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            (root / "a.csv").write_bytes(b"x")

    thread = threading.Thread(target=write)
    thread.start()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        assert set(keys(objects)) <= {"a.csv"}
    stop.set()
    thread.join()


@pytest.mark.parametrize("name", ["link.csv", "folder/secret.csv"])
def test_no_link_leads_out_of_the_bucket(root, objects, tmp_path, name):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.csv").write_bytes(b"secret")
    (root / "link.csv").symlink_to(tmp_path / "outside" / "secret.csv")
    (root / "folder").symlink_to(tmp_path / "outside")
    assert keys(objects) == []
    assert list(objects.list("folder/")) == []
    for ask in (objects.head, objects.read):
        with pytest.raises(Rejected):
            ask(name)


def test_nothing_is_written_through_a_link(root, objects, tmp_path):
    (tmp_path / "outside").mkdir()
    (root / "_conveyor" / "dvc").symlink_to(tmp_path / "outside")
    with pytest.raises(Rejected, match="leads through a link"):
        objects.put("_conveyor/dvc/x", b"x")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("prefix", ["../", "a/../../", "/etc/"])
def test_no_listing_leaves_the_bucket(objects, tmp_path, prefix):
    (tmp_path / "file").write_bytes(b"x")
    assert list(objects.list(prefix)) == []


def test_a_change_during_the_read_is_superseded_even_at_the_same_size(root, objects):
    (root / "a.csv").write_bytes(b"before")
    ref = objects.head("a.csv")

    def read_slowly() -> None:
        with objects.open(ref) as file:
            file.read(1)
            time.sleep(0.01)
            (root / "a.csv").write_bytes(b"after!")

    with pytest.raises(Superseded):
        read_slowly()


def test_a_copy_of_what_has_changed_leaves_nothing_behind(root, objects):
    (root / "a.csv").write_bytes(b"before")
    ref = objects.head("a.csv")
    time.sleep(0.01)
    (root / "a.csv").write_bytes(b"after!")
    with pytest.raises(Superseded):
        objects.copy(ref, "_conveyor/copy")
    assert not (root / "_conveyor" / "copy").exists()
    assert list((root / "_conveyor" / ".incoming").iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing_half(root, objects, tmp_path):
    """/dev/full is a disk without space: what is written to it fails as on a full one."""
    (root / "_conveyor" / ".incoming").rmdir()
    (root / "_conveyor" / ".incoming").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="_conveyor/x"):
        objects.put("_conveyor/x", b"x")
    with pytest.raises(NotFound):
        objects.head("_conveyor/x")


def test_what_a_killed_process_left_is_removed_after_a_day(root, objects):
    left = root / "_conveyor" / ".incoming" / "left"
    fresh = root / "_conveyor" / ".incoming" / "fresh"
    for path in (left, fresh):
        path.write_bytes(b"x")
    os.utime(left, (0, 0))
    FolderObjects(root)
    assert not left.exists()
    assert fresh.exists()


def test_a_name_too_long_for_the_disk_is_refused_for_good(objects):
    with pytest.raises(Rejected, match="File name too long"):
        objects.put("n" * 300, b"x")


def test_what_the_engine_believes_is_its_owners_alone(tmp_path):
    """Whoever may drop data into a shared folder must not forge results beside it."""
    FolderObjects(tmp_path / "bucket")
    assert stat.S_IMODE((tmp_path / "bucket" / "_conveyor").stat().st_mode) == 0o700


def test_bytes_swapped_after_their_check_are_not_copied_although_the_time_was_set_back(tmp_path):
    """Else bytes that nobody checked would lie under the hash of those that were."""
    objects = FolderObjects(tmp_path)
    file = tmp_path / "wine.csv"
    file.write_text("good")
    ref, times = objects.head("wine.csv"), file.stat()
    time.sleep(0.02)
    with file.open("r+") as stream:
        stream.write("evil")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Superseded):
        objects.copy(ref, "_conveyor/dvc/good")
