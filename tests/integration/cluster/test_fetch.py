"""The first step of a run's pod before a repository that does not give what it is asked for."""

import secrets
import subprocess
import sys
from datetime import timedelta

import pytest

from conveyor.data.s3 import S3Objects
from conveyor.domain.jobs import JobSpec, Limits
from conveyor.runs import AGAIN, dump_spec, fingerprint, spec_key

STEP = """\
import logging, os, sys
from conveyor.cluster.fetch import main
logging.basicConfig(format="conveyor: %(message)s")
sys.exit(main(sys.argv[1:], os.environ, within=0.2))
"""


@pytest.fixture
def fetch(shop, tmp_path):
    """Return how the step ended for a run at a commit, its last words, and its volume."""

    def run(commit, **changed):
        spec = JobSpec(
            kind="train",
            key="k1",
            owner="wine",
            command=("python", "train.py"),
            checkout=commit,
            limits=Limits(timeout=timedelta(minutes=1), memory=2**28, disk=2**28),
        )
        text = dump_spec(spec)
        S3Objects(shop.bucket).put(spec_key("k1", fingerprint(text)), text)
        volume = tmp_path / "job"
        volume.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", STEP, "k1", fingerprint(text), volume],
            env={**shop.environment(), "TMPDIR": str(tmp_path), **changed},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, (done.stderr.splitlines() or [""])[-1], volume

    return run


def test_a_password_that_is_refused_ends_the_pod_with_gits_own_words(fetch, shop):
    wrong = secrets.token_hex(8)
    code, said, _ = fetch("a" * 40, CONVEYOR_GIT_PASSWORD=wrong)
    assert code == AGAIN
    assert said.startswith(f"conveyor: {shop.git.url} cannot be fetched: ")
    assert "Authentication failed" in said
    assert wrong not in said


def test_a_commit_that_is_nowhere_is_the_runs_end_at_once(fetch):
    code, _, volume = fetch("a" * 40)
    assert code == 0
    told = [path.read_text() for path in volume.iterdir() if path.is_file()]
    assert any("no commit 'aaaa" in text for text in told)


def test_a_commit_that_is_there_is_laid_out(fetch, shop):
    code, _, volume = fetch(shop.push(**{"a.txt": "a"}))
    assert code == 0
    assert (volume / "run" / "work" / "a.txt").read_text() == "a"
