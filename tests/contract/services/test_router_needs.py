"""What the router may expect of services on one machine, beside the port."""

import pytest

from conveyor.domain.line import Line
from conveyor.domain.traffic import Traffic
from conveyor.errors import NotFound
from conveyor.serving.upstreams import Call

LINE = Line(name="shop")
NONE = Traffic()


def only(release):
    return Traffic(((release.digest, 100),))


@pytest.fixture
def services(local):
    return local


def test_ensuring_again_gives_no_second_place(services, first):
    services.ensure(first, LINE)
    services.ensure(first, LINE)
    assert services.releases() == {first.digest: "wine"}


def test_a_release_that_drops_out_loses_its_place(services, first, second):
    services.ensure(first, LINE)
    services.apply("wine", only(first), expected=NONE)
    services.apply("wine", only(second), expected=only(first))
    assert services.releases() == {second.digest: "wine"}


def test_the_table_has_what_is_served(services, first, second):
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
