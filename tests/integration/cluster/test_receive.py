"""`receive` as a pod: its doors, its hints, its end."""

import json
import time

import pytest

from conveyor.domain.payloads import (
    DatasetUploaded,
    JobFinished,
    NoticeReceived,
    ScheduleFired,
    SourcePushed,
)
from conveyor.domain.routes import MINUTE


def told_of(bucket, key):
    record = {
        "eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "e", "size": 1}},
    }
    return json.dumps({"Records": [record]}).encode()


@pytest.fixture
def receive(shop):
    return shop.start("receive")


@pytest.fixture
def trusted(shop):
    return {"Authorization": f"Bearer {shop.token}"}


def test_a_notice_is_in_the_ledger_before_it_is_acknowledged_and_published_after(
    shop, receive, trusted
):
    shop.ingress.held.clear()
    answer = receive.post(
        "/api/v1/notices/s3", told_of(shop.bucket.bucket, "wine/wine.csv"), **trusted
    )
    assert answer.status == 202
    [noted] = shop.stored(NoticeReceived)
    shop.ingress.held.set()
    assert [event.id for event in shop.ingress.wait_for(1)] == [noted.id]


def test_what_the_notice_tells_of_is_looked_at_by_the_station(shop, receive, trusted):
    shop.client.put_object(Bucket=shop.bucket.bucket, Key="wine/wine.csv", Body=b"a\n1\n")
    receive.post("/api/v1/notices/s3", told_of(shop.bucket.bucket, "wine/wine.csv"), **trusted)
    [notice] = shop.ingress.wait_for(1)
    answer = receive.send(notice)
    assert answer.status == 200
    assert answer.headers["ce-type"] == DatasetUploaded.event_type()
    assert receive.send(notice).headers["ce-id"] == answer.headers["ce-id"]


def test_a_notice_without_the_token_is_refused_the_same_however_it_is_wrong(shop, receive):
    body = told_of(shop.bucket.bucket, "wine/wine.csv")
    for shown in ({}, *({"Authorization": each} for each in ("Bearer wrong", "Bearer ä", "Basic"))):
        for path in ("/api/v1/notices/s3", "/api/v1/notices/git"):
            assert receive.post(path, body, **shown).status == 401
    assert shop.stored() == []


def test_a_forged_event_is_refused_at_both_doors(shop, receive):
    forged = shop.signed(SourcePushed(repository="r", ref="f", before="", commit="c"), "1")
    forged = forged.with_extensions(conveyorsig="0" * 64)
    assert receive.send(forged).status == 401
    assert receive.send(forged, "/events").status == 401
    assert shop.stored() == []


def test_a_body_that_is_too_large_is_not_read(receive):
    assert receive.post("/api/v1/notices/s3", b"x" * (5 * 2**20)).status in {401, 413}


def test_a_tick_and_a_push_are_seen_by_a_hint_that_says_nothing(shop, receive):
    head = shop.push(**{"a.txt": "1"})
    assert receive.post("/sources/ping", b"{}").status == 202
    [tick] = shop.stored(ScheduleFired)
    assert tick.extensions["schedule"] == MINUTE
    [pushed] = shop.stored(SourcePushed)
    assert pushed.data["commit"] == head
    time.sleep(1.1)
    assert receive.post("/sources/ping", b"{}").status == 202
    assert len(shop.stored(SourcePushed)) == 1


def test_the_end_of_a_run_is_believed_only_when_its_result_is_there(shop, receive):
    job = {
        "metadata": {"annotations": {"conveyor.dev/key": "k1", "conveyor.dev/kind": "train"}},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    hint = json.dumps(job).encode()
    assert receive.post("/sources/jobs", hint).status == 202
    assert shop.stored() == []
    result = {"key": "k1", "kind": "train", "state": "succeeded", "owner": "wine"}
    shop.client.put_object(
        Bucket=shop.bucket.bucket,
        Key="_conveyor/runs/k1/result.json",
        Body=json.dumps(result).encode(),
    )
    for _ in range(2):
        assert receive.post("/sources/jobs", hint).status == 202
    [finished] = shop.stored(JobFinished)
    assert finished.data == {"job": "train", "key": "k1", "state": "succeeded", "owner": "wine"}


def test_it_publishes_what_it_accepted_before_it_ends(shop, receive, trusted):
    shop.ingress.held.clear()
    receive.post("/api/v1/notices/git", b'{"ref": "refs/heads/main", "commit": "c"}', **trusted)
    receive.terminate()
    time.sleep(0.5)
    shop.ingress.held.set()
    assert receive.end() == 0
    assert NoticeReceived.event_type() in {event.type for event in shop.ingress.posted}


def test_while_the_ledger_is_away_nothing_is_acknowledged(shop, receive, trusted):
    shop.postgres.stop()
    body = told_of(shop.bucket.bucket, "wine/wine.csv")
    try:
        assert receive.post("/api/v1/notices/s3", body, **trusted).status == 503
    finally:
        shop.postgres.start()
    assert receive.post("/api/v1/notices/s3", body, **trusted).status == 202


def test_two_replicas_that_take_the_same_notice_store_it_once(shop, receive, trusted):
    other = shop.start("receive")
    body = told_of(shop.bucket.bucket, "wine/wine.csv")
    answers = [pod.post("/api/v1/notices/s3", body, **trusted).json() for pod in (receive, other)]
    assert [answer["accepted"] for answer in answers] == [1, 0]
    assert len(shop.stored(NoticeReceived)) == 1
