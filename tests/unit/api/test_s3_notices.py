"""What an S3 endpoint tells: stored before it is acknowledged, refused only if it is no JSON."""

import pytest

from conveyor.codec import LINE
from conveyor.domain.payloads import DatasetUploaded, NoticeReceived
from conveyor.eventing.sources.s3 import MAX_BODY

PATH = "/api/v1/notices/s3"


def notification(key="wine/wine.csv", bucket="bucket", version="v1"):
    stored = {"key": key, "versionId": version, "eTag": "e", "sequencer": "1"}
    facts = {"bucket": {"name": bucket}, "object": stored}
    return {"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": facts}]}


def tell(client, headers, body):
    answer = client.post(PATH, json=body, headers=headers)
    assert answer.status_code == 202
    return answer.json


def test_a_notification_is_stored_signed_and_only_then_acknowledged(client, trusted, world):
    assert tell(client, trusted, notification()) == {"accepted": 1, "known": 0, "ignored": 0}
    (stored,) = world.journal.events()
    heard = NoticeReceived.from_event(stored.event)
    assert (heard.origin, heard.notice) == ("s3", DatasetUploaded.event_type())
    assert heard.body["key"] == "wine/wine.csv"
    assert world.keyring.verify(world.published[0]) == LINE


def test_a_notification_told_again_is_acknowledged_again_and_counts_once(client, trusted, world):
    tell(client, trusted, notification())
    assert tell(client, trusted, notification())["known"] == 1
    assert tell(client, trusted, notification(version="v2"))["accepted"] == 1
    assert len(world.published) == 2


def test_what_is_of_no_interest_is_acknowledged_and_not_stored(client, trusted, world):
    ours, nobodys = notification(key="_conveyor/x"), notification(key="wine/wine.csv.bak")
    for body in (notification(bucket="other"), ours, nobodys):
        assert tell(client, trusted, body) == {"accepted": 0, "known": 0, "ignored": 1}
    assert not world.journal.events()


@pytest.mark.parametrize("body", [[], "x", {"Records": [{}]}, {"a": "x" * 50_000}])
def test_json_that_is_no_notification_is_acknowledged_and_kept(client, trusted, world, body):
    assert tell(client, trusted, body)["accepted"] == 1
    (kept,) = world.journal.events()
    assert kept.event.data["body"]["fault"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 9000, b'{"a":1,"a":2}'])
def test_a_body_that_is_no_json_is_400(client, trusted, body):
    answer = client.post(PATH, data=body, headers=trusted)
    assert (answer.status_code, answer.json["kind"]) == (400, "InvalidEvent")


def test_a_body_over_the_bound_is_413(client, trusted):
    assert client.post(PATH, data=b" " * (MAX_BODY + 1), headers=trusted).status_code == 413


def test_without_the_token_nothing_is_taken(client, world):
    assert client.post(PATH, json=notification()).status_code == 401
    assert not world.journal.events()


def test_before_the_first_push_whatever_is_told_is_kept(client, trusted, world):
    world.history._heads.clear()
    assert tell(client, trusted, notification(key="anything"))["accepted"] == 1
