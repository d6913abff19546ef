"""The promises of the Objects port, asked of memory, a folder and a real MinIO."""

import threading

import pytest

from conveyor.errors import Conflict, NotFound, Rejected, Superseded

NAMES = ["wine/wine.csv", "with space/a b+c&d=e%20.csv", "ünï/数据.csv", "n" * 200, "q'uote\".csv"]
TRAPS = [
    "../x",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "",
    "nul\0",
    "n" * 1025,
    "\ud800",
    "dir/",
]


@pytest.fixture
def objects(bucket):
    return bucket.objects


@pytest.mark.parametrize("key", NAMES)
def test_any_plain_name_can_be_read_back_with_the_same_ref_from_head_and_listing(bucket, key):
    bucket.upload(key, b"bytes")
    ref = bucket.objects.head(key)
    assert [ref] == list(bucket.objects.list())
    with bucket.objects.open(ref) as file:
        assert file.read() == b"bytes"
    assert (ref.key, ref.size, ref.bucket) == (key, 5, bucket.objects.name)
    assert ref.modified.tzinfo is not None


@pytest.mark.parametrize("key", TRAPS)
def test_a_key_that_is_no_plain_name_is_refused_in_a_sentence(objects, key):
    with pytest.raises(Rejected, match="use a plain relative name"):
        objects.head(key)
    with pytest.raises(Rejected, match="use a plain relative name"):
        objects.put(key, b"x")


def test_what_is_not_there_is_not_found(objects, tmp_path):
    for ask in (objects.head, objects.read, lambda key: objects.download(key, tmp_path / "x")):
        with pytest.raises(NotFound):
            ask("missing")
    with pytest.raises(NotFound):
        objects.head("missing", "00000000-0000-4000-8000-000000000000")
    assert not (tmp_path / "x").exists()


def test_a_put_is_done_once(objects, tmp_path):
    (tmp_path / "file").write_bytes(b"second")
    objects.put("_conveyor/a", b"first")
    objects.put("_conveyor/a", b"second")
    objects.put("_conveyor/a", tmp_path / "file")
    objects.put("_conveyor/b", tmp_path / "file")
    assert objects.read("_conveyor/a") == b"first"
    assert objects.read("_conveyor/b") == b"second"


def test_of_many_puts_at_once_one_wins_and_none_fails(objects):
    threads = [
        threading.Thread(target=objects.put, args=("_conveyor/x", bytes([number]) * 1000))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    body = objects.read("_conveyor/x")
    assert len(body) == 1000
    assert len(set(body)) == 1


def test_ours_are_listed_only_when_asked_for(bucket):
    for key in ("_aa/x", "b", "a/2", "a/1", "_conveyor0/y"):
        bucket.upload(key, b"x")
    for number in range(3):
        bucket.objects.put(f"_conveyor/dvc/{number}", b"x")
    keys = [ref.key for ref in bucket.objects.list()]
    assert keys == ["_aa/x", "_conveyor0/y", "a/1", "a/2", "b"]
    assert [ref.key for ref in bucket.objects.list("a/")] == ["a/1", "a/2"]
    assert [ref.key for ref in bucket.objects.list("a/1")] == ["a/1"]
    assert len(list(bucket.objects.list("_conveyor/dvc/"))) == 3
    assert list(bucket.objects.list("nothing/")) == []


def test_the_listing_holds_the_newest_version_and_nothing_deleted(bucket):
    bucket.upload("a", b"first")
    old = bucket.objects.head("a")
    bucket.upload("a", b"second!")
    bucket.upload("b", b"x")
    bucket.delete("b")
    (ref,) = bucket.objects.list()
    assert ref == bucket.objects.head("a") != old
    assert ref.size == 7


def test_a_ref_means_exactly_those_bytes(bucket):
    """A bucket with versions still gives the old one, any other says that it is superseded."""
    bucket.upload("a", b"first")
    old = bucket.objects.head("a")
    bucket.upload("a", b"other")
    if old.version:
        with bucket.objects.open(old) as file:
            assert file.read() == b"first"
        bucket.objects.copy(old, "_conveyor/copy")
        assert bucket.objects.read("_conveyor/copy") == b"first"
        assert bucket.objects.head("a", old.version) == old
        return
    with pytest.raises(Superseded, match=r"a was|a is"), bucket.objects.open(old) as file:
        file.read()
    with pytest.raises(Superseded):
        bucket.objects.copy(old, "_conveyor/copy")
    with pytest.raises(NotFound):
        bucket.objects.head("_conveyor/copy")


def test_a_copy_is_done_once_and_of_what_is_gone_not_at_all(bucket):
    bucket.upload("a", b"first")
    ref = bucket.objects.head("a")
    bucket.objects.copy(ref, "_conveyor/copy")
    before = bucket.objects.head("_conveyor/copy")
    bucket.objects.copy(ref, "_conveyor/copy")
    assert bucket.objects.head("_conveyor/copy") == before
    bucket.delete("a")
    if not ref.version or bucket.kind == "memory":
        with pytest.raises(Superseded):
            bucket.objects.copy(ref, "_conveyor/other")


def test_a_download_makes_a_new_file_and_never_overwrites_one(bucket, tmp_path):
    bucket.upload("a", b"bytes")
    bucket.objects.download("a", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"bytes"
    with pytest.raises(Conflict, match="exists already"):
        bucket.objects.download("a", tmp_path / "file")


def test_an_object_too_large_for_memory_is_not_read_at_once(bucket):
    bucket.upload("a", bytes(64 * 2**20 + 1))
    with pytest.raises(Rejected, match="67108865 bytes"):
        bucket.objects.read("a")


def test_names_that_only_look_alike_are_different_objects(bucket, spelled_twice):
    for number, key in enumerate(spelled_twice):
        bucket.upload(key, bytes([number]))
    assert [bucket.objects.read(key) for key in spelled_twice] == [b"\0", b"\1"]
