"""`deadletter` as a pod: what the broker gave up on, kept with the reason."""

import base64

import pytest

from conveyor.domain.payloads import DatasetUploaded, SourcePushed
from conveyor.ledger.deliveries import SqlDeliveries

UPLOADED = DatasetUploaded(
    dataset="wine", bucket="b", key="k", version="", etag="e", size=1, modified="m", commit="c"
)


@pytest.fixture
def sink(shop):
    return shop.start("deadletter")


@pytest.fixture
def dead(shop):
    """Return what was given up: station, code and reason."""
    deliveries = SqlDeliveries(shop.ledger, clock=None)
    return lambda: [(each["station"], each["code"], each["reason"]) for each in deliveries.dead()]


def test_a_dead_letter_is_kept_with_what_the_station_said(shop, sink, dead):
    letter = shop.signed(UPLOADED, "1").with_extensions(
        knativeerrordest="http://version.shop.svc",
        knativeerrorcode="422",
        knativeerrordata=base64.b64encode("no such data set ü".encode()).decode(),
    )
    for _ in range(2):
        assert sink.send(letter, "/dead/version").status == 202
    assert dead() == [("version", 422, "no such data set ü")]
    [stored] = shop.stored()
    assert not any(name.startswith("knative") for name in stored.extensions)


def test_a_dead_letter_after_a_timeout_says_that_nothing_was_answered(shop, sink, dead):
    assert sink.send(shop.signed(UPLOADED, "1"), "/dead/version").status == 202
    [(station, code, reason)] = dead()
    assert (station, code) == ("version", 0)
    assert "nothing was answered in time" in reason


def test_what_someone_was_at_all_the_time_stays_owed(shop, sink, dead):
    letter = shop.signed(UPLOADED, "1").with_extensions(knativeerrorcode="409")
    assert sink.send(letter, "/dead/version").status == 202
    assert dead() == []
    assert [event.id for event in shop.stored()] == ["1"]


def test_a_forged_dead_letter_takes_no_real_event_s_place(shop, sink):
    forged = shop.signed(SourcePushed(repository="r", ref="f", before="", commit="c"), "1")
    assert sink.send(forged.with_extensions(conveyorsig="0"), "/dead/build").status == 401
    assert sink.send(shop.signed(UPLOADED, "1"), "/dead/elsewhere").status == 400
    assert shop.stored() == []
