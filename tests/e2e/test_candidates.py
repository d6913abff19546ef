"""Candidates that pass the gate and fail live: rolled back, and stable answers meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

CRASHING = ["-P", "-c", Path(__file__).with_name("crashing.py").read_text()]
"""Given as text: serve processes are fenced in and cannot read the tests."""


def released(line, start, **settings):
    """Start an engine with a first release that serves."""
    up = start(**settings).up()
    line.points()
    up.event("rollout.promoted")
    return up


def push_candidate(line, up, **params):
    """Push while the model is used: of one that nobody uses, replays would decide at once."""
    up.infer()
    line.params(**params)
    assert line.push().returncode == 0
    return up.event("rollout.advanced", state="canary", number=2)


SECONDS = 120.0
CLIENTS = 8

TOO_MUCH = 1e9
"""Of this x the slow candidate never gives y."""


def ask_until(up, ended, x, number=1):
    """Ask for y of x until the number-th event of this kind comes; returns the answers."""
    answers, until = [], time.monotonic() + SECONDS
    while len(up.of(ended)) < number:
        if time.monotonic() > until:
            pytest.fail(f"no {ended} after {len(answers)} requests\n{up.story()}")
        answers.append(up.infer(x))
    return answers


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "x"), [("fatal", 666.0), ("nan", 200.0), ("wide", 200.0)])
def test_a_candidate_that_fails_live_is_rolled_back_and_every_request_answered(
    line, start, fault, x
):
    """Its process dies, it gives NaN, or another shape: no request fails by status."""
    up = released(line, start, serve=CRASHING)
    push_candidate(line, up, fault=fault)
    answers = ask_until(up, "rollout.rolledback", x)
    assert {answer.status for answer in answers} == {200}
    assert up.infer(x).json()["outputs"][0]["data"] == [2 * x + 1]
    assert sorted(line.tags)[:2] == ["slope#rolledback#1", "slope#stable#1"]


@pytest.mark.slow
def test_a_slow_candidate_is_rolled_back(line, start):
    """Its answers take many times as long as stable's."""
    up = released(line, start)
    push_candidate(line, up, fault="slow")
    answers = ask_until(up, "rollout.rolledback", 150.0)
    assert {answer.status for answer in answers} == {200}
    assert "slow" in up.of("rollout.rolledback")[0]["data"]["reason"]


@pytest.mark.slow
def test_a_candidate_that_hangs_is_rolled_back_though_it_answers_nothing(line, start):
    """What it keeps is counted by the router, and answered by stable."""
    up = released(line, start)
    push_candidate(line, up, fault="slow")
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [
            clients.submit(ask_until, up, "rollout.rolledback", TOO_MUCH) for _ in range(CLIENTS)
        ]
    assert {answer.status for each in asked for answer in each.result()} == {200}
    assert "errors" in up.of("rollout.rolledback")[0]["data"]["reason"]


@pytest.mark.slow
def test_a_newer_release_supersedes_an_open_rollout_and_alone_is_promoted(line, start):
    up = released(line, start)
    push_candidate(line, up, shift=0.1)
    line.params(shift=0.2)
    line.push()
    superseded = up.event("rollout.rolledback", state="superseded")
    assert "v1.2.0" in superseded["data"]["reason"]
    assert {answer.status for answer in ask_until(up, "rollout.promoted", 1.0, number=2)} == {200}
    assert up.infer(1.0).json()["outputs"][0]["data"] == [pytest.approx(3.2)]
    assert [tag for tag in line.tags if "#" in tag] == ["slope#stable#1", "slope#stable#2"]


@pytest.mark.slow
def test_a_change_to_a_model_that_nobody_uses_is_stable_in_under_a_minute(line, start):
    """Nothing is waited for where nothing comes: evaluation rows are replayed."""
    up = released(line, start)
    line.params(shift=0.1)
    assert line.push().returncode == 0
    assert "replayed" in up.event("rollout.promoted", number=2)["data"]["reason"]
    assert up.infer(1.0).json()["outputs"][0]["data"] == [pytest.approx(3.1)]
    assert [tag for tag in line.tags if "#" in tag] == ["slope#stable#1", "slope#stable#2"]
