"""A real MinIO, and every kind of bucket with a way to write into it as a user does."""

import itertools
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers.minio import minio

from conveyor.data.folder import FolderObjects
from conveyor.data.memory import MemoryObjects
from conveyor.data.s3 import S3Objects, connect
from conveyor.ports import Objects
from conveyor.settings import S3Settings

__all__ = ["minio"]
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Bucket:
    """A bucket under test: ours as the port, `upload` and `delete` as its user."""

    kind: str
    objects: Objects
    upload: Callable[[str, bytes], object]
    delete: Callable[[str], object]


def make_s3(minio: S3Settings, *, versioned: bool, **limits: int) -> Bucket:
    name = f"bucket{next(NUMBERS)}"
    settings = S3Settings(
        bucket=name,
        endpoint=minio.endpoint,
        access_key=minio.access_key,
        secret_key=minio.secret_key,
    )
    client = connect(settings)
    client.create_bucket(Bucket=name)
    if versioned:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Bucket(
        kind="s3",
        objects=S3Objects(settings, **limits),
        upload=lambda key, body: client.put_object(Bucket=name, Key=key, Body=body),
        delete=lambda key: client.delete_object(Bucket=name, Key=key),
    )


def make_folder(root: Path) -> Bucket:
    def upload(key: str, body: bytes) -> None:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    return Bucket(
        kind="folder",
        objects=FolderObjects(root),
        upload=upload,
        delete=lambda key: (root / key).unlink(),
    )


def make_memory(*, versioned: bool) -> Bucket:
    objects = MemoryObjects(versioned=versioned)
    return Bucket("memory", objects, objects.upload, objects.delete)


@pytest.fixture(params=["memory", "memory-versioned", "folder", "s3", "s3-versioned"])
def bucket(request, tmp_path) -> Bucket:
    kind, _, versioned = request.param.partition("-")
    if kind == "memory":
        return make_memory(versioned=bool(versioned))
    if kind == "folder":
        return make_folder(tmp_path / "bucket")
    return make_s3(request.getfixturevalue("minio"), versioned=bool(versioned))


@pytest.fixture
def s3(minio) -> Callable[..., Bucket]:
    return lambda **options: make_s3(minio, **options)


@pytest.fixture
def spelled_twice() -> tuple[str, str]:
    return tuple(unicodedata.normalize(form, "wine/é.csv") for form in ("NFC", "NFD"))
