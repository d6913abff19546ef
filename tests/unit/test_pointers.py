"""DVC's pointers and manifests, as we write and read them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.domain.objects import ObjectRef
from conveyor.errors import InvalidLine
from conveyor.pointers import (
    Pointer,
    Source,
    dump_manifest,
    dump_pointer,
    manifest_md5,
    read_manifest,
    read_pointer,
)

DIGITS = "12345678901234567890123456789012"
NAMES = st.text(min_size=1).filter(lambda name: "/" not in name and name != "..")
MADE_BY_DVC = f"outs:\n- md5: {DIGITS}\n  size: 6\n  hash: md5\n  path: wine.csv\n".encode()


@given(name=NAMES.filter(lambda name: name.isprintable() or "\n" in name), owner=st.text())
def test_what_is_written_is_read_back_whatever_the_names(name, owner):
    pointer = Pointer(path=name, md5=DIGITS, size=3, rows=7, owner=owner, verdict="_conveyor/v")
    assert read_pointer(dump_pointer(pointer)) == pointer


def test_an_md5_of_digits_alone_is_quoted_and_stays_text():
    assert f'md5: "{DIGITS}"'.encode() in dump_pointer(Pointer(path="a", md5=DIGITS, size=1))
    assert read_pointer(MADE_BY_DVC).md5 == DIGITS


def test_a_pointer_may_pin_a_version_of_the_bucket_instead_of_a_copy(ref):
    pointer = Pointer(path="wine.csv", md5=DIGITS, size=3, source=Source.of(ref))
    text = dump_pointer(pointer)
    assert b'version_id: "v1"' in text
    assert b"push: false" in text
    assert b'path: "s3://bucket/wine.csv"' in text
    assert read_pointer(text) == pointer


def test_a_bucket_without_versions_cannot_be_pinned(ref):
    plain = ObjectRef(**{**vars(ref), "version": ""})
    with pytest.raises(InvalidLine, match="Switch versioning on"):
        Source.of(plain)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"outs: [", "not YAML"),
        (b"\xff", "not YAML"),
        (b"[]", "not a DVC 3 pointer"),
        (b"outs: []", "not a DVC 3 pointer"),
        (b"outs:\n- {md5: abc, hash: md5, path: a}", "md5 is 'abc'"),
        (MADE_BY_DVC.replace(b"  hash: md5\n", b""), "cache migrate"),
        (MADE_BY_DVC.replace(b"wine.csv", b"../wine.csv"), "leaves its folder"),
        (MADE_BY_DVC.replace(b"size: 6", b"size: x"), "invalid literal"),
        (b"[" * 10_000, "nested too deeply"),
        (b"#" * 300_000, "too many"),
    ],
)
def test_a_broken_pointer_is_refused_with_its_file_and_reason(text, says):
    with pytest.raises(InvalidLine, match=f"(?s)data/a.dvc: .*{says}"):
        read_pointer(text, file="data/a.dvc")


def test_a_manifest_is_byte_for_byte_what_dvc_writes():
    """Taken from `dvc add` of a directory with these two files (DVC 3.67)."""
    manifest = dump_manifest([("b/ü.csv", DIGITS), ("a.csv", DIGITS)])
    assert (
        manifest
        == (
            f'[{{"md5": "{DIGITS}", "relpath": "a.csv"}}, '
            f'{{"md5": "{DIGITS}", "relpath": "b/\\u00fc.csv"}}]'
        ).encode()
    )
    assert (
        manifest_md5(manifest) == hashlib.md5(manifest, usedforsecurity=False).hexdigest() + ".dir"
    )
    assert read_manifest(manifest) == (("a.csv", DIGITS), ("b/ü.csv", DIGITS))


@pytest.mark.parametrize("path", ["../x", "/x", ""])
def test_a_manifest_whose_path_leaves_the_directory_is_refused(path):
    with pytest.raises(InvalidLine, match="leaves its folder"):
        read_manifest(dump_manifest([(path, DIGITS)]))


@pytest.fixture
def ref():
    return ObjectRef(bucket="bucket", key="wine.csv", version="v1", etag="e", size=3, modified=None)
