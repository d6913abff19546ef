"""Events from outside the process: duplicate, reordered, forged, unknown, too large, poisonous."""

import json
from datetime import UTC, datetime

import pytest

from conveyor.codec import LINE, SERVE, Keyring, to_json
from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import DatasetUploaded, DatasetVersioned

CLOUDEVENT = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
UPLOADED = "dev.conveyor.dataset.uploaded.v1"


def notice(number, **fields):
    event = {"specversion": "1.0", "id": f"n{number}", "source": "/outside", "type": UPLOADED}
    return {**event, "data": {"key": "points.csv"}, **fields}


def send(up, events, *, token=True, **headers):
    """POST one event (a dict or an Event of ours) or a batch; returns status and answer."""
    given = {**(BATCH if isinstance(events, list) else CLOUDEVENT), **headers}
    if token:
        given["Authorization"] = f"Bearer {up.ready['token']}"
    body = to_json(events) if isinstance(events, Event) else json.dumps(events).encode()
    answer = up.ask("POST", "/events", body=body, headers=given)
    return answer.status, answer.data.decode()


def signed(line, payload, event_id, role=LINE):
    """An event of the line's own, as only who holds its keys can make it."""
    keys = json.loads((line.state / "keys.json").read_text())
    event = new_event(payload, line="shop", event_id=event_id, time=datetime.now(UTC))
    return Keyring({role: [keys[role]]}).sign(event, role)


def versioned(commit):
    return DatasetVersioned(
        dataset="points",
        path="data/points.csv",
        md5="0" * 32,
        size=1,
        commit=commit,
        verdict="_conveyor/verdicts/x.json",
        upload="x",
    )


def poison(commit):
    """An upload whose time makes no sense: version breaks on it each time."""
    return DatasetUploaded(
        dataset="points",
        bucket="bucket",
        key="points.csv",
        version="",
        etag="e",
        size=1,
        modified="yesterday",
        commit=commit,
    )


@pytest.mark.slow
def test_duplicate_and_reordered_notices_lead_to_one_version(line, start):
    """Eight notices of two uploads, twice, backwards, in a batch: one event of what is there."""
    up = start().up()
    line.points()
    batch = [notice(number) for number in range(8)]
    for events in (batch, batch[::-1], batch[3]):
        assert send(up, events)[0] == 202
    up.event("dataset.versioned")
    up.settled()
    assert len(up.of("notice.received", notice=UPLOADED)) == 8
    assert len(up.of("dataset.uploaded")) == len(line.commits("points: ")) == 1


def test_what_is_forged_unknown_or_too_large_is_refused_and_never_stored(line, start):
    up = start().up().settled()
    stored = up.stats["events"]
    forged = signed(line, versioned("0" * 40), "f1").with_extensions(conveyorsig="0" * 64)
    keys = json.loads((line.state / "keys.json").read_text())
    other = Keyring({LINE: ["another line's secret"]})
    assert keys[LINE] != "another line's secret"
    assert send(up, forged)[0] == 401
    assert send(up, other.sign(signed(line, versioned("0" * 40), "f2"), LINE))[0] == 401
    assert send(up, notice(1, type="dev.conveyor.model.converted.v1"))[0] == 401
    assert send(up, notice(2, type="com.example.unknown"))[0] == 401
    assert send(up, notice(3), token=False)[0] == 401
    assert send(up, notice(4, data={"key": 70_000 * "x"}))[0] in {400, 413}
    assert send(up, [notice(5), {"specversion": "1.0"}])[0] == 400
    with pytest.raises(Exception, match="must not sign"):
        signed(line, versioned("0" * 40), "f3", role=SERVE)
    assert up.ask("GET", "/healthz").status == 200
    assert up.stats["events"] == stored


@pytest.mark.slow
def test_a_poison_event_dies_after_its_attempts_and_blocks_nothing(line, start):
    up = start(retries=3).up()
    commit = line.git("rev-parse", "HEAD").stdout.strip()
    assert send(up, signed(line, poison(commit), "poison"), token=False)[0] == 202
    line.points()
    up.event("rollout.promoted")
    up.until(lambda: up.stats["dead"] == 1, "a dead letter")
    (letter,) = up.ask("GET", "/api/v1/dead-letters").json()["letters"]
    assert (letter["station"], letter["attempts"], letter["code"]) == ("version", 4, 500)
    assert "yesterday" in letter["reason"]
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]


def test_a_dead_letter_is_replayed_with_its_id_once_its_cause_is_gone(line, start):
    """It names a commit that nobody pushed; then somebody does."""
    up = start().up()
    commit = line.commit(**{"README.md": "not pushed yet"})
    assert send(up, signed(line, versioned(commit), "early"), token=False)[0] == 202
    up.until(lambda: up.stats.get("dead") == 1, "a dead letter")
    line.push()
    assert up.ask("POST", "/api/v1/dead-letters/early/replay", json={}).status == 202
    up.until(lambda: not up.stats["dead"], "its end")
    up.settled()
    assert not up.ask("GET", "/api/v1/dead-letters").json()["letters"]
