"""What only an S3 endpoint can do, or fail to do, asked of a real MinIO."""

import hashlib
from dataclasses import replace

import pytest

from conveyor.data.s3 import S3Objects
from conveyor.errors import Superseded, Unavailable

PART = 5 * 2**20


def test_a_copy_above_the_limit_is_made_in_parts_and_equal(s3):
    bucket = s3(versioned=True, copy_limit=PART, copy_part=PART)
    body = b"0123456789abcdef" * (12 * 2**20 // 16) + b"end"
    bucket.upload("big", body)
    bucket.objects.copy(bucket.objects.head("big"), "_conveyor/big")
    copied = bucket.objects.head("_conveyor/big")
    assert copied.etag.endswith("-3")
    with bucket.objects.open(copied) as file:
        assert (
            hashlib.file_digest(file, "md5").digest()
            == hashlib.md5(body, usedforsecurity=False).digest()
        )


def test_a_copy_in_parts_of_a_changed_object_is_superseded_and_leaves_nothing(s3):
    bucket = s3(versioned=False, copy_limit=PART, copy_part=PART)
    bucket.upload("big", bytes(PART + 1))
    old = bucket.objects.head("big")
    bucket.upload("big", b"1" * (PART + 1))
    with pytest.raises(Superseded):
        bucket.objects.copy(old, "_conveyor/big")
    assert list(bucket.objects.list("_conveyor/")) == []


def test_a_large_file_is_put_in_parts_once(s3, tmp_path):
    bucket = s3(versioned=True)
    with (tmp_path / "file").open("wb") as file:
        file.truncate(65 * 2**20)
    bucket.objects.put("_conveyor/big", tmp_path / "file")
    first = bucket.objects.head("_conveyor/big")
    bucket.objects.put("_conveyor/big", tmp_path / "file")
    assert bucket.objects.head("_conveyor/big") == first
    assert first.size == 65 * 2**20


def test_the_listing_steps_over_thousands_of_our_own_objects(s3):
    bucket = s3(versioned=True)
    for number in range(1010):
        bucket.objects.put(f"_conveyor/{number:04}", b"")
    for key in ("A", "z"):
        bucket.upload(key, b"x")
    assert [ref.key for ref in bucket.objects.list()] == ["A", "z"]
    assert len(list(bucket.objects.list("_conveyor/"))) == 1010


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"secret_key": "wrong-secret"}, "denies access"),
        ({"bucket": "no-such-bucket"}, "no such bucket"),
        ({"endpoint": "http://127.0.0.1:9"}, "connect to"),
    ],
)
def test_an_endpoint_that_cannot_be_used_says_why(minio, wrong, says):
    objects = S3Objects(replace(minio, **{"bucket": "some-bucket", **wrong}))
    with pytest.raises(Unavailable, match=says):
        list(objects.list())
