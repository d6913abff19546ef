"""What the user of a deployed line has: a clone, data, and the credentials of the deployment."""

import os
import random
from pathlib import Path

from servers.git_http import GitServer

from conveyor.cli.demo.stage import copy_line, run_git
from deployment.machine import CHECKOUT, Machine


def wines(example: Path, number: int) -> bytes:
    """Return the example's wines, each measured a little differently."""
    chance = random.Random(number)  # noqa: S311 -- no secret depends on it
    head, *rows = example.read_text().splitlines()
    changed = []
    for row in rows:
        *cells, label = row.split(",")
        measured = [f"{float(cell) * (1 + chance.gauss(0, 1e-4)):.6f}" for cell in cells]
        changed.append(",".join([*measured, label]))
    return "\n".join([head, *changed, ""]).encode()


def user_clone(folder: Path, git: GitServer, bucket: str) -> Path:
    """Return a clone of the example line whose branch is pushed to its own remote."""
    clone = folder / "line"
    copy_line(CHECKOUT, clone)
    declared = clone / "conveyor.yaml"
    text = declared.read_text().replace("bucket: bucket", f"bucket: s3://{bucket}")
    # A test that waits until nobody is served waits less.
    declared.write_text(text.replace("idle: 1m", "idle: 10s"))
    for arguments in (
        ("commit", "-qam", "Use the bucket of the cluster"),
        ("remote", "add", "origin", git.url_with_password),
        ("push", "-q", "origin", "main"),
    ):
        done = run_git(clone, *arguments)
        if done.returncode:
            raise AssertionError(done.stderr)
    return clone


def variables(machine: Machine, git: GitServer, database: str) -> dict[str, str]:
    """Return the credentials that `conveyor deploy` takes from its environment."""
    return {
        **os.environ,
        **machine.environment,
        "CONVEYOR_GIT_USERNAME": git.user,
        "CONVEYOR_GIT_PASSWORD": git.password,
        "CONVEYOR_LEDGER": database,
    }
