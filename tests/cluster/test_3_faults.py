"""Something is killed or away at each step of the line; afterwards nothing is lost or twice."""

from collections.abc import Callable

import pytest
from deployment.meddling import forget_everything, kill_pods, kill_run

AWAY = "5"
"""Seconds that a server stays away."""


def station(name: str) -> Callable:
    """Kill the pods of one of the line's functions."""
    return lambda line: kill_pods(line, line.namespace, f"serving.knative.dev/service={name}")


def eventing(name: str) -> Callable:
    """Kill the pods of a part of the broker."""
    return lambda line: kill_pods(line, "knative-eventing", f"app={name}")


def run(kind: str) -> Callable:
    """Kill a run's pod while it works."""
    return lambda line: kill_run(line, kind)


def away(program: str) -> Callable:
    """Kill one of the cluster's servers, and start it again a while later."""
    return lambda line: line.machine.tool("restart", program, AWAY)


FIRST = (
    ("dataset.uploaded", station("version")),
    ("dataset.versioned", run("train")),
    ("model.trained", eventing("mt-broker-ingress")),
    ("model.converted", away("apiserver")),
    ("release.created", eventing("mt-broker-filter")),
)
SECOND = (
    ("dataset.uploaded", away("minio")),
    ("dataset.versioned", eventing("imc-dispatcher")),
    ("model.trained", run("convert")),
    ("model.converted", station("release")),
    ("release.created", away("postgres")),
)


@pytest.mark.parametrize(("number", "faults"), [(4, FIRST), (5, SECOND)])
def test_an_upload_becomes_one_version_and_one_release_whatever_dies(line, number, faults):
    mark, trained = line.mark, len(line.runs("train"))
    versions, releases = line.commits("wine: "), line.git_tags()
    line.put_wine(number)
    for step, strike in faults:
        line.event(step, mark)
        strike(line)
    line.event("rollout.promoted", mark)
    line.until(line.settled, "the end of all deliveries")
    assert len(line.commits("wine: ")) == len(versions) + 1
    assert len([tag for tag in line.git_tags() if "@" in tag and tag not in releases]) == 1
    assert len(line.runs("train")) == trained + 1
    for step, _ in faults:
        assert len(line.of(step, mark)) == 1, step
    assert not line.client.dead_letters()["letters"]


def test_without_ledger_and_services_the_same_stable_serves_and_nothing_is_trained(line, ledger):
    before, trained = line.predict()["model_version"], line.runs("train")
    forget_everything(line, ledger)
    line.until(lambda: line.predict_or_none() is not None, "the stable release")
    assert line.predict()["model_version"] == before
    line.until(line.settled, "the end of all deliveries")
    assert line.runs("train") == trained
