from datetime import UTC, datetime

import pytest

from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import (
    DatasetUploaded,
    NoticeReceived,
    OutcomeObserved,
    ScheduleFired,
    SourcePushed,
)
from conveyor.errors import InvalidEvent
from conveyor.stations.receive import receive

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Outside:
    """Arrivals that remember what they were asked and answer with one event of each kind."""

    def uploads(self, now: datetime, prefix: str = "") -> tuple[Event, ...]:
        return (event(NoticeReceived(origin="test", notice=f"upload:{prefix}", body={})),)

    def pushes(self, now: datetime) -> tuple[Event, ...]:
        return (event(NoticeReceived(origin="test", notice="push", body={})),)

    def ticks(self, now: datetime) -> tuple[Event, ...]:
        return (event(NoticeReceived(origin="test", notice="tick", body={})),)

    def ended_jobs(self, now: datetime) -> tuple[Event, ...]:
        return ()


def event(payload: NoticeReceived) -> Event:
    return new_event(payload, line="shop", event_id="n1", time=NOW)


def heard(kind: str, **body: object) -> tuple[Event, ...]:
    notice = event(NoticeReceived(origin="cloudevents", notice=kind, body=body))
    return receive(notice, arrivals=Outside())


def test_of_an_upload_only_the_key_is_believed():
    (answer,) = heard(DatasetUploaded.event_type(), key="wine/wine.csv", etag="forged")
    assert answer.subject == "upload:wine/wine.csv"


def test_an_upload_without_a_key_is_refused():
    with pytest.raises(InvalidEvent, match=r"data\.key"):
        heard(DatasetUploaded.event_type(), key=["x"])


def test_a_notice_that_could_not_be_read_at_the_door_is_refused_with_what_was_found_there():
    with pytest.raises(InvalidEvent, match="no S3 notification"):
        heard(DatasetUploaded.event_type(), fault="no S3 notification: KeyError: 's3'", record="{}")


@pytest.mark.parametrize(
    ("kind", "looked"), [(SourcePushed.event_type(), "push"), (ScheduleFired.event_type(), "tick")]
)
def test_a_push_or_a_tick_only_makes_us_look(kind, looked):
    (answer,) = heard(kind, commit="forged")
    assert answer.subject == looked


def test_an_outcome_is_passed_on_with_the_prediction_as_subject():
    (answer,) = heard(OutcomeObserved.event_type(), prediction="abc-1", outcome=2.0, model="wine")
    assert OutcomeObserved.from_event(answer).outcome == 2.0
    assert answer.subject == "abc-1"
    assert answer.extensions["causationid"] == "n1"


def test_an_outcome_heard_twice_is_one_event():
    first, second = (heard(OutcomeObserved.event_type(), prediction="a", outcome="b") for _ in "12")
    assert first == second


@pytest.mark.parametrize("body", [{}, {"prediction": 3, "outcome": "b"}])
def test_a_malformed_outcome_is_refused(body):
    with pytest.raises(InvalidEvent, match="prediction"):
        heard(OutcomeObserved.event_type(), **body)


def test_a_type_that_comes_only_from_inside_is_refused():
    with pytest.raises(InvalidEvent, match="no notice from outside"):
        heard("dev.conveyor.model.converted.v1")
