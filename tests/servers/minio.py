"""A MinIO of the tests' own, which `make tools` built."""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from conveyor.settings import S3Settings
from servers.ports import free_port

MINIO = Path(__file__).parents[2] / ".tools" / "minio"


@pytest.fixture(scope="session")
def minio(tmp_path_factory) -> Iterator[S3Settings]:
    if not MINIO.exists():
        pytest.fail(f"{MINIO} is missing; get it with: make tools", pytrace=False)
    folder = tmp_path_factory.mktemp("minio")
    address = f"127.0.0.1:{free_port()}"
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
