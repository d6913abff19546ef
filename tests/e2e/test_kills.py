"""A kill -9 of any process at any step: the line ends as if nothing had happened."""

import contextlib
import os
import random
import signal
import subprocess
import time

import psutil
import pytest

LEGS = {
    "version": ("upload seen", "bytes kept", "versioned", "version told"),
    "build": ("training asked", "training", "train stored", "model committed"),
    "convert": ("conversion asked", "converting", "converted"),
    "release": ("candidate started", "release tagged", "release told"),
    "judge": ("rollout opened", "moved, not applied", "applied, not noted"),
    "promotion": ("promoted, not tagged", "tagged, not closed", "promotion told"),
}
ENDED_BY_KILLS = {"training asked", "training", "train stored"}
"""Boundaries at which a training run has begun and is not stored: it begins again."""


def assert_first_release_is_whole(line, up, *, begun=1):
    """One upload became one version, one release and one stable, and it answers."""
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]
    assert sorted(line.tags) == ["slope#stable#1", "slope@v1.0.0"]
    assert len(line.commits("points: ")) == len(line.commits("Train slope")) == 1
    assert len(set(line.trainings)) == 1
    assert len(line.trainings) <= begun
    assert up.stats["dead"] == 0
    assert len({event["id"] for event in up.events}) == len(up.events)
    for kind in ("dataset.versioned", "model.trained", "release.created", "rollout.promoted"):
        assert len(up.of(kind)) == 1, kind


@pytest.mark.slow
@pytest.mark.parametrize("leg", LEGS)
def test_a_line_that_is_killed_at_each_boundary_of_a_leg_ends_the_same(line, start, leg):
    """Its engine dies at every boundary in turn, each time a moment after it got there."""
    line.points()
    for where in LEGS[leg]:
        start(crash=where).dies(where)
    up = start().up()
    up.event("rollout.promoted")
    up.settled()
    again = sum(where in ENDED_BY_KILLS for where in LEGS[leg])
    assert_first_release_is_whole(line, up, begun=1 + again)


@pytest.mark.slow
def test_an_engine_killed_at_random_moments_ends_the_same(line, start):
    """Six kills anywhere, the start included."""
    pauses = random.SystemRandom()
    line.points()
    for _ in range(6):
        engine = start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            engine.wait(pauses.uniform(0.2, 5.0))
        engine.kill()
    up = start().up()
    up.event("rollout.promoted")
    up.settled()
    assert len(line.trainings) >= 1
    assert_first_release_is_whole(line, up, begun=7)


@pytest.mark.slow
def test_a_serve_process_that_is_killed_comes_back_and_no_request_fails(line, start):
    up = start().up()
    line.points()
    up.event("rollout.promoted")
    statuses = [up.infer().status]
    for _ in range(3):
        (note,) = line.state.glob("services/running/*.json")
        os.kill(int(note.stem), signal.SIGKILL)
        statuses += [up.infer().status for _ in range(5)]
    assert set(statuses) == {200}


@pytest.mark.slow
def test_a_training_whose_process_is_killed_is_rejected_and_the_line_goes_on(line, start):
    """It says what ended it; the next push is built as always."""
    line.params(act="hang")
    line.points()
    up = start().up()
    child = await_training(up)
    child.kill()
    assert "Killed" in up.event("model.rejected")["data"]["reason"]
    up.handled = len(up.events)
    line.params(act="train")
    line.push()
    up.event("rollout.promoted")
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]


def await_training(up):
    """Return the process of the training script once it runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in psutil.Process(up.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "models/train.py" in child.cmdline()[-1:]:
                    return child
        time.sleep(0.02)
    pytest.fail("no training began")
    return None
