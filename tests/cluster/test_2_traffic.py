"""Traffic moves without a failed request, and models that nobody asks cost nothing."""

import pytest
from deployment.load import Stream
from deployment.meddling import sleep

HOLDOUT = "data/wine-holdout.csv"


@pytest.fixture
def stream(line):
    """50 requests a second through Envoy."""
    return lambda: Stream(line.models(), line.clone / HOLDOUT)


def test_a_promotion_fails_no_request(line, stream):
    mark = line.mark
    with stream() as sent:
        line.put_wine(1)
        promoted = line.event("rollout.promoted", mark)
        line.until(lambda: sent.revisions[promoted["data"]["release"][:16]], "its answers", 30)
    assert sent.failed == 0, sent.faults[:5]


def test_a_rollback_to_a_warm_stable_fails_no_request(line, stream):
    before, mark = line.stable()["tag"], line.mark
    with stream() as sent:
        line.put_wine(2)
        line.event("rollout.advanced", mark)
        line.client.command("wine", "abort", by="tester", reason="to see it go")
        line.event("rollout.rolledback", mark)
    assert sent.failed == 0, sent.faults[:5]
    assert line.stable()["tag"] == before


def test_models_that_nobody_asks_have_no_pods_and_come_back(line):
    sleep(line)
    assert line.predict()["outputs"]


def test_a_rollback_to_a_cold_stable_fails_no_request(line, stream):
    now, mark = line.stable()["tag"], line.mark
    with stream() as sent:
        line.client.command("wine", "rollback", by="tester", reason="go back")
        line.event("rollout.promoted", mark)
    assert sent.failed == 0, sent.faults[:5]
    assert line.stable()["tag"] != now


def test_a_canary_is_decided_after_both_sides_slept(line):
    sleep(line)
    mark = line.mark
    line.put_wine(3)
    line.event("release.created", mark)
    line.event("rollout.promoted", mark)
