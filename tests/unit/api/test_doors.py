import json

from conveyor.codec import LINE, SERVE, encode, to_json
from conveyor.domain.payloads import (
    DatasetUploaded,
    InferenceObserved,
    ModelTrained,
    NoticeReceived,
    OutcomeObserved,
)

OUTCOME = OutcomeObserved(prediction="p1", outcome="good", model="wine")
WINDOW = InferenceObserved(model="wine", revision="r", instance="i", window=1, summary={})
TRAINED = ModelTrained(model="wine", source="s", md5="m", size=1, run="r", commit="c")


def outside(number: int, payload=OUTCOME) -> dict:
    return {
        "specversion": "1.0",
        "id": f"n{number}",
        "source": "/till",
        "type": payload.event_type(),
        "data": payload.to_data(),
    }


def post(client, events, headers):
    many = isinstance(events, list)
    kind = "application/cloudevents-batch+json" if many else "application/cloudevents+json"
    return client.post(
        "/events", data=json.dumps(events), headers={**headers, "Content-Type": kind}
    )


def test_a_notice_from_outside_is_stored_signed_and_only_then_acknowledged(client, trusted, world):
    answer = post(client, outside(1), trusted)
    assert (answer.status_code, answer.json) == (202, {"accepted": 1, "known": 0})
    (stored,) = world.journal.events()
    assert NoticeReceived.from_event(stored.event).notice == OUTCOME.event_type()
    assert world.keyring.verify(world.published[0]) == LINE


def test_the_same_notice_twice_counts_once(client, trusted, world):
    post(client, outside(1), trusted)
    assert post(client, outside(1), trusted).json == {"accepted": 0, "known": 1}
    assert len(world.published) == 1


def test_binary_and_batched_modes_are_taken(client, trusted, world):
    binary = {
        **trusted,
        "ce-specversion": "1.0",
        "ce-id": "b1",
        "ce-source": "/till",
        "ce-type": OUTCOME.event_type(),
        "Content-Type": "application/json",
    }
    assert client.post("/events", json=OUTCOME.to_data(), headers=binary).status_code == 202
    assert post(client, [outside(2), outside(3)], trusted).json["accepted"] == 2
    assert len(world.published) == 3


def test_a_notice_without_the_token_is_401_and_nothing_is_stored(client, world):
    assert post(client, outside(1), {}).status_code == 401
    assert not world.journal.events()


def test_an_internal_type_without_a_signature_is_401_even_with_the_token(client, trusted, world):
    answer = post(client, outside(1, TRAINED), trusted)
    assert answer.status_code == 401
    assert "model.trained" in answer.json["error"]
    assert not world.journal.events()


def test_a_forged_signature_is_401(client, trusted, world):
    event = world.keyring.sign(world.event(TRAINED), LINE)
    forged = event.with_extensions(conveyorsig="0" * 64)
    headers, body = encode(forged)
    assert client.post("/events", data=body, headers={**headers, **trusted}).status_code == 401


def test_a_signed_event_is_published_as_it_is_without_a_token(client, world):
    event = world.keyring.sign(world.event(WINDOW), SERVE)
    headers, body = encode(event)
    assert client.post("/events", data=body, headers=headers).status_code == 202
    assert world.published == [event]


def test_what_serves_models_cannot_sign_anything_but_its_observations(client, world):
    line_only = world.event(TRAINED).with_extensions(conveyorrole=SERVE)
    signed = world.keyring.sign(world.event(WINDOW), SERVE)
    forged = line_only.with_extensions(conveyorsig=signed.extensions["conveyorsig"])
    headers, body = encode(forged)
    assert client.post("/events", data=body, headers=headers).status_code == 401


def test_one_bad_event_of_a_batch_keeps_all_of_it_out(client, trusted, world):
    assert post(client, [outside(1), outside(2, TRAINED)], trusted).status_code == 401
    assert post(client, [outside(1), {"id": "x"}], trusted).status_code == 400
    assert not world.journal.events()


def test_an_event_over_the_size_limit_is_refused(client, trusted, world):
    large = outside(1) | {"data": {"prediction": "p" * 70_000, "outcome": "x"}}
    assert post(client, large, trusted).status_code == 400
    assert not world.journal.events()


def test_a_git_notice_is_stored_before_the_repository_is_looked_at(client, trusted, world):
    body = {"ref": "refs/heads/main", "before": "", "commit": "c" * 40}
    answer = client.post("/api/v1/notices/git", json=body, headers=trusted)
    assert (answer.status_code, answer.json["accepted"]) == (202, 1)
    assert world.journal.events()[0].event.data["origin"] == "git"
    assert world.looks


def test_the_signature_of_an_event_is_not_shown_to_readers(client, trusted, world):
    post(client, outside(1), trusted)
    assert b"conveyorsig" in to_json(world.published[0])
    assert "conveyorsig" not in client.get("/api/v1/events", headers=trusted).text


def test_an_upload_notice_is_only_a_hint(client, trusted, world):
    claimed = DatasetUploaded(
        dataset="wine", bucket="b", key="k", version="", etag="", size=1, modified="", commit=""
    )
    post(client, outside(1, claimed), trusted)
    assert {event.type for event in world.published} == {NoticeReceived.event_type()}
