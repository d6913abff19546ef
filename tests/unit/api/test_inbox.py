import io

import pytest

from conveyor.api.inbox import FolderInbox
from conveyor.errors import Conflict, Rejected, Unavailable


@pytest.fixture
def inbox(tmp_path):
    return FolderInbox(tmp_path)


def put(inbox, key, body=b"a,b\n", size=None):
    inbox.put(key, io.BytesIO(body), len(body) if size is None else size)


def left(tmp_path):
    return {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}


def test_an_upload_appears_whole_under_its_key_and_a_newer_one_replaces_it(inbox, tmp_path):
    put(inbox, "wine/wine.csv", b"old")
    put(inbox, "wine/wine.csv", b"new")
    assert (tmp_path / "wine/wine.csv").read_bytes() == b"new"
    assert left(tmp_path) == {"wine/wine.csv"}


def test_an_upload_that_ends_early_leaves_nothing(inbox, tmp_path):
    with pytest.raises(Rejected, match="2 bytes early"):
        put(inbox, "wine.csv", b"abc", size=5)
    assert not left(tmp_path)


def test_bytes_beyond_the_announced_size_are_not_read(inbox, tmp_path):
    put(inbox, "wine.csv", b"abcdef", size=3)
    assert (tmp_path / "wine.csv").read_bytes() == b"abc"


def test_what_does_not_fit_on_the_disk_is_refused_before_it_is_written(tmp_path):
    inbox = FolderInbox(tmp_path, spare=2**62)
    with pytest.raises(Unavailable, match="free some space"):
        put(inbox, "wine.csv")
    assert not left(tmp_path)


@pytest.mark.parametrize(
    "key", ["../x", "/x", "a/../../x", "", "a\0", "_conveyor/x", "a/.x", "a\n"]
)
def test_a_key_that_leads_out_or_into_our_own_is_refused(inbox, tmp_path, key):
    with pytest.raises(Rejected):
        put(inbox, key)
    assert not left(tmp_path)


def test_a_link_in_the_bucket_is_not_followed(inbox, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / "link").symlink_to(outside)
    with pytest.raises(Conflict):
        put(inbox, "link/x.csv")
    assert not list(outside.iterdir())


def test_a_file_where_a_folder_should_be_is_a_conflict(inbox):
    put(inbox, "wine")
    with pytest.raises(Conflict):
        put(inbox, "wine/wine.csv")


def test_a_folder_where_the_file_should_be_is_a_conflict(inbox):
    put(inbox, "wine/wine.csv")
    with pytest.raises(Conflict):
        put(inbox, "wine")


def test_a_name_that_no_disk_takes_is_refused_for_good(inbox):
    with pytest.raises(Rejected, match="too long"):
        put(inbox, "x" * 1024)
