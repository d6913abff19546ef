"""The serve pod's two requests, as MinIO understands them."""

import secrets
from dataclasses import replace

import pytest

from conveyor.data.s3 import S3Objects, connect
from conveyor.errors import NotFound, Unavailable
from conveyor.serving.store import SignedStore


@pytest.fixture
def settings(minio):
    given = replace(minio, bucket=f"pods-{secrets.token_hex(4)}")
    connect(given).create_bucket(Bucket=given.bucket)
    return given


def content(store, key):
    with store.read(key) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize("key", ["_conveyor/releases/a/model.onnx", "a b/ü+%&=.json"])
def test_what_one_client_writes_the_other_reads(settings, key):
    store, objects = SignedStore(settings), S3Objects(settings)
    store.write(key, b"one")
    assert objects.read(key) == b"one"
    assert content(store, key) == b"one"
    store.write(key, b"two")
    assert content(store, key) == b"two"


def test_what_is_absent_is_not_found(settings):
    with pytest.raises(NotFound):
        content(SignedStore(settings), "absent")


def test_wrong_keys_and_a_store_that_is_away_may_be_mended(settings):
    with pytest.raises(Unavailable, match="denies access"):
        content(SignedStore(replace(settings, secret_key="x" * 32)), "a")
    with pytest.raises(Unavailable, match="did not answer"):
        content(SignedStore(replace(settings, endpoint="http://127.0.0.1:9")), "a")
