"""A kill -9 of any process at any step: the line ends as if nothing had happened."""


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
