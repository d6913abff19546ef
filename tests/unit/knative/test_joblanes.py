from conveyor.knative.joblanes import Seat, Turn, decide


def seat(key, *, started=False, ended="", gone=False):
    return Seat(
        name=f"train-{key}",
        version="1",
        key=key,
        kind="train",
        owner="wine",
        since=f"2026-01-01T00:00:0{key[-1]}",
        spec="f",
        lane="l",
        attempt=0,
        started=started,
        ended=ended,
        gone=gone,
        told=False,
    )


def test_an_only_one_starts():
    assert decide([seat("k1")]) == Turn(start=seat("k1"))


def test_while_one_works_the_newest_waits_and_the_others_give_way():
    turn = decide([seat("k0", started=True), seat("k2"), seat("k1"), seat("k3")])
    assert turn == Turn(give_way=(seat("k1"), seat("k2")))


def test_when_it_ended_the_newest_starts_after_the_others_gave_way():
    turn = decide([seat("k0", started=True, ended="Complete"), seat("k1"), seat("k2")])
    assert turn == Turn(give_way=(seat("k1"),), start=seat("k2"))


def test_what_is_given_up_holds_no_place():
    assert decide([seat("k0", started=True, gone=True), seat("k1")]).start == seat("k1")


def test_nobody_waits_nothing_happens():
    assert decide([seat("k0", started=True)]) == Turn()
