"""Every function as a pod: it starts without anything behind it, knows who sends, and ends."""

from pathlib import Path

import pytest

from conveyor.domain.payloads import SourcePushed

FUNCTIONS = Path(__file__).parents[3] / "functions"
STATIONS = sorted(path.parent.name for path in FUNCTIONS.glob("*/app.py"))


def test_each_refuses_what_is_forged_and_ends_when_told(shop):
    forged = shop.signed(SourcePushed(repository="r", ref="f", before="", commit="c"), "1")
    forged = forged.with_extensions(conveyorsig="0" * 64)
    pods = {station: shop.start(station) for station in STATIONS}
    for station, pod in pods.items():
        path = {"deadletter": "/dead/build", "api": "/events"}.get(station, "/")
        assert (station, pod.send(forged, path).status) in {(station, 401), ("api", 503)}
    for pod in pods.values():
        pod.terminate()
    assert {station: pod.wait() for station, pod in pods.items()} == dict.fromkeys(STATIONS, 0)
    assert shop.stored() == []


@pytest.mark.parametrize("name", ["CONVEYOR_GIT_REMOTE", "CONVEYOR_MODELS_NAMESPACE"])
def test_a_function_that_lacks_a_setting_says_which_and_does_not_start(shop, name):
    pod = shop.pod("version", **{name: ""})
    assert pod.wait() == 1
    [said] = pod.said
    assert said.startswith(f"conveyor: {name} ")


def test_what_cannot_be_opened_yet_is_tried_with_each_event(shop):
    """Nobody can know whether the event is good: it is neither done nor given up."""
    pushed = shop.signed(SourcePushed(repository="r", ref="f", before="", commit="c"), "1")
    build = shop.start("build")
    answer = build.send(pushed)
    assert answer.status == 503
    assert b"no access to a cluster" in answer.data


def test_each_stays_small():
    for station in STATIONS:
        assert len((FUNCTIONS / station / "app.py").read_text().splitlines()) <= 15


@pytest.mark.parametrize("station", ["version", "judge"])
def test_a_pod_needs_no_writable_home(shop, station, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    pod = shop.start(station, HOME=str(home))
    assert pod.end() == 0
    assert not any(home.iterdir())
