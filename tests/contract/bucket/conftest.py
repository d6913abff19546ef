"""A real MinIO, and every kind of bucket with a way to write into it as a user does."""

import itertools
import os
import secrets
import shutil
import socket
import subprocess
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from conveyor.data.folder import FolderObjects
from conveyor.data.memory import MemoryObjects
from conveyor.data.s3 import S3Objects, connect
from conveyor.ports import Objects
from conveyor.settings import S3Settings

MINIO = Path(__file__).parents[3] / ".tools" / "minio"
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Bucket:
    """A bucket under test: ours as the port, `upload` and `delete` as its user."""

    kind: str
    objects: Objects
    upload: Callable[[str, bytes], object]
    delete: Callable[[str], object]


@pytest.fixture(scope="session")
def minio(tmp_path_factory) -> Iterator[S3Settings]:
    if not MINIO.exists():
        pytest.fail(f"{MINIO} is missing; get it with: make tools", pytrace=False)
    folder = tmp_path_factory.mktemp("minio")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = S3Settings(
        bucket="unset",
        endpoint=f"http://{address}",
        access_key="tester",
        secret_key=secrets.token_hex(16),
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": settings.access_key,
        "MINIO_ROOT_PASSWORD": settings.secret_key,
        "MINIO_BROWSER": "off",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [MINIO, "server", "--quiet", "--address", address, folder / "data"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(f"http://{address}/minio/health/ready", folder / "log")
        yield settings
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    with urllib3.PoolManager(retries=False, timeout=2) as pool:
        while time.monotonic() < deadline:
            try:
                if pool.request("GET", url).status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.1)
    pytest.fail(f"MinIO did not start in 30 s:\n{log.read_text()}")


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
