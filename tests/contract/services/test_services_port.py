"""What the stations and the router may expect of the services, on every engine."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers.inference import only

from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.errors import Conflict, NotFound, Rejected

LINE = Line(name="shop")
NONE = Traffic()
REQUEST = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
).encode()


def test_an_ensured_release_answers_without_having_traffic(services, first):
    services.ensure(first, LINE)
    assert "outputs" in json.loads(services.infer("wine", first.digest, REQUEST))
    assert services.traffic("wine") == NONE


def test_ensuring_again_changes_nothing(services, first):
    services.ensure(first, LINE)
    services.ensure(first, LINE)
    assert services.infer("wine", first.digest, REQUEST)


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
    with pytest.raises(NotFound):
        services.infer("wine", first.digest, REQUEST)
    services.ensure(first, LINE)
    assert services.infer("wine", first.digest, REQUEST)


def test_models_do_not_touch_each_others_traffic(services, first, other):
    services.apply("wine", only(first), expected=NONE)
    services.apply("beer", only(other), expected=NONE)
    assert services.traffic("wine") == only(first)
    assert services.traffic("beer") == only(other)


def test_without_traffic_nothing_serves_any_more(services, first):
    services.ensure(first, LINE)
    services.apply("wine", only(first), expected=NONE)
    services.apply("wine", NONE, expected=only(first))
    assert services.traffic("wine") == NONE
    with pytest.raises(NotFound):
        services.infer("wine", first.digest, REQUEST)


def test_of_two_who_move_the_same_traffic_one_wins(services, first, second):
    services.ensure(first, LINE)
    services.ensure(second, LINE)
    services.apply("wine", only(first), expected=NONE)
    splits = [Traffic(((first.digest, 100 - n), (second.digest, n))) for n in (10, 20)]

    def move(split):
        try:
            services.apply("wine", split, expected=only(first))
        except Conflict:
            return None
        return split

    with ThreadPoolExecutor(2) as pool:
        winners = [each for each in pool.map(move, splits) if each]
    assert winners == [services.traffic("wine")]
