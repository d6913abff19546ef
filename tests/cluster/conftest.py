"""One line on the cluster, deployed once, whose story the tests of this folder tell in order."""

import io
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from deployment.deployed import Deployed
from deployment.machine import Machine, open_machine
from deployment.userland import user_clone, variables
from rich.console import Console
from servers.git_http import GitServer

from conveyor.cli.demo.stage import Stage

NAME = f"acts-{uuid.uuid4().hex[:6]}"
"""The line's namespace and its bucket: no run meets what another one left."""

TARGET = "LINE"
"""The name of MinIO's webhook target."""


def pytest_collection_modifyitems(items) -> None:
    """Everything here needs the cluster."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def machine() -> Machine:
    return open_machine(os.environ)


@pytest.fixture(scope="session")
def tag() -> str:
    """The tag of images of this checkout that the cluster knows: `make test-cluster` makes them."""
    if "CONVEYOR_TEST_TAG" not in os.environ:
        pytest.fail("set CONVEYOR_TEST_TAG to the tag of images that the cluster knows")
    return os.environ["CONVEYOR_TEST_TAG"]


@pytest.fixture(scope="session")
def git(machine, tmp_path_factory) -> Iterator[GitServer]:
    """The user's Git server, as pods reach it."""
    server = GitServer(tmp_path_factory.mktemp("git"), host=machine.listen)
    yield server
    server.close()


@pytest.fixture(scope="session")
def ledger(machine) -> str:
    """A database of its own."""
    url = machine.environment["CONVEYOR_TEST_POSTGRES"]
    name = f"acts_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    base, _, _ = url.rpartition("/")
    return f"{base}/{name}"


@pytest.fixture(scope="session")
def deployed(machine, tag, git, ledger, tmp_path_factory) -> Iterator[Deployed]:
    """The example line, deployed by the command that users type, told of uploads by MinIO."""
    folder = tmp_path_factory.mktemp("user")
    made = Deployed(
        machine=machine,
        namespace=NAME,
        bucket=NAME,
        clone=user_clone(folder, git, NAME),
        git=git,
    )
    made.s3.create_bucket(Bucket=NAME)
    made.s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
    made.deploy(tag, variables(machine, git, ledger))
    made.hear_of_uploads(TARGET)
    made.hear_of_pushes()
    yield made
    # Where the tests brought the cluster up it is thrown away whole.
    if machine.tools is None:
        made.destroy()


@pytest.fixture(scope="session")
def stage(deployed) -> Stage:
    """The demo's stage, on the cluster."""
    return Stage(deployed.clone, Console(file=sys.stderr or io.StringIO(), width=120), deployed)


@pytest.fixture(scope="session")
def line(deployed) -> Deployed:
    """The line with a model that serves; the acts leave a bad commit, which is taken back."""
    mark = deployed.mark
    deployed.take_back_the_bad_commit()
    deployed.put_wine(0)
    deployed.event("rollout.promoted", mark)
    return deployed
