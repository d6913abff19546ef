"""What the stations and the router may expect of the services, on every engine."""

import json

import pytest

from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, NotFound, Rejected
from conveyor.serving.upstreams import Call

LINE = Line(name="shop")
NONE = Traffic()
REQUEST = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
).encode()


def only(release):
    return Traffic(((release.digest, 100),))


def test_an_ensured_release_answers_without_having_traffic(services, first):
    services.ensure(first, LINE)
    assert "outputs" in json.loads(services.infer("wine", first.digest, REQUEST))
    assert services.traffic("wine") == NONE


def test_ensuring_again_changes_nothing(services, first):
    services.ensure(first, LINE)
    services.ensure(first, LINE)
    assert services.releases() == {first.digest: "wine"}


def test_a_release_that_cannot_start_is_rejected(services, broken):
    with pytest.raises(Rejected):
        services.ensure(broken, LINE)


@pytest.mark.parametrize("model", ["wine", "beer"])
def test_asking_a_release_that_has_no_place_is_rejected(services, first, second, model):
    services.ensure(first, LINE)
    asked = second if model == "wine" else first
    with pytest.raises(NotFound):
        services.infer(model, asked.digest, REQUEST)


def test_traffic_moves_from_what_was_expected(services, first, second):
    services.apply("wine", only(first), expected=NONE)
    split = Traffic(((first.digest, 75), (second.digest, 25)))
    services.apply("wine", split, expected=only(first))
    assert services.traffic("wine") == split
    assert services.table() == {"wine": split}


def test_applying_what_is_there_is_success_whatever_was_expected(services, first, second):
    services.apply("wine", only(first), expected=NONE)
    services.apply("wine", only(first), expected=only(second))
    assert services.traffic("wine") == only(first)


def test_traffic_that_someone_else_moved_is_a_conflict_and_stays(services, first, second):
    services.apply("wine", only(first), expected=NONE)
    with pytest.raises(Conflict):
        services.apply("wine", only(second), expected=NONE)
    assert services.traffic("wine") == only(first)


def test_a_release_that_drops_out_loses_its_place_until_it_is_ensured_again(
    services, first, second
):
    services.ensure(first, LINE)
    services.apply("wine", only(first), expected=NONE)
    services.apply("wine", only(second), expected=only(first))
    assert services.releases() == {second.digest: "wine"}
    services.ensure(first, LINE)
    assert services.infer("wine", first.digest, REQUEST)


def test_models_do_not_touch_each_others_traffic(services, first, second):
    services.apply("wine", only(first), expected=NONE)
    services.apply("beer", only(second), expected=NONE)
    assert services.table() == {"wine": only(first), "beer": only(second)}


def test_the_router_holds_the_release_that_the_table_names_for_a_point(services, first, second):
    services.ensure(first, LINE)
    split = Traffic(((first.digest, 75), (second.digest, 25)))
    services.apply("wine", split, expected=NONE)
    for point, release in ((0.0, first), (0.74, first), (0.76, second)):
        with services.hold("wine", point) as upstream:
            assert upstream.release == release.digest
    with services.hold_release(first.digest) as upstream:
        assert upstream.send(Call(method="GET", path="/v2")).status == 200


def test_nothing_can_be_held_where_nothing_serves(services, first):
    with pytest.raises(NotFound), services.hold("wine", 0.5):
        pass
    with pytest.raises(NotFound), services.hold_release(first.digest):
        pass
