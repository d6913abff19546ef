import json
from dataclasses import replace

import pytest

from conveyor.domain.jobs import JobSpec
from conveyor.domain.objects import run_folder
from conveyor.domain.payloads import (
    DatasetRejected,
    DatasetUploaded,
    DatasetVersioned,
    JobFinished,
    ModelConverted,
    ModelRejected,
    ModelTrained,
    ModelVersioned,
    ReleaseCreated,
    RolloutAdvanced,
    RolloutPromoted,
    SourcePushed,
)
from conveyor.domain.rollout import Decision, open_rollout
from conveyor.domain.routes import consumers
from conveyor.domain.traffic import Traffic

RUN = "a1" * 32


@pytest.fixture
def pushed(world):
    payload = SourcePushed(repository="r", ref="refs/heads/main", before="", commit=world.head)
    return world.store(world.event(payload, "1" * 64))


def settle(world, event, **answers):
    """Let every station that is woken by an event be done, with the answers given by station."""
    for station in consumers(event):
        world.did(event, station, *answers.get(station, ()))


def train(world, event):
    """Start a training run because of an event."""
    asked = {"model": "wine", "commit": world.head, "event": event.id}
    world.hands.objects.put(f"{run_folder(RUN)}request.json", json.dumps(asked).encode())
    world.journal.started(RUN, event)
    world.jobs.ensure(JobSpec(kind="train", key=RUN, owner="wine", command=("x",)))


def ended(world):
    world.jobs.cancel(RUN)
    return world.event(JobFinished(job="train", key=RUN, state="succeeded", owner="wine"), "2" * 64)


def look(client, trusted, name, after=0):
    return client.get(f"/api/v1/follow/{name}?after={after}", headers=trusted).json


def test_a_commit_that_was_not_seen_yet_is_waited_for(client, trusted):
    assert look(client, trusted, "f" * 40) == {
        "lines": [],
        "next": 0,
        "done": False,
        "failed": False,
    }


def test_a_push_that_changes_no_model_is_told_so_and_done(world, client, trusted, pushed):
    settle(world, pushed)
    found = look(client, trusted, world.head)
    assert (found["lines"], found["done"]) == (["nothing to build: no model changes by this"], True)


def test_while_a_station_owes_its_answer_it_is_not_done(world, client, trusted, pushed):
    assert look(client, trusted, world.head)["done"] is False


def test_the_start_of_training_is_told_once(world, client, trusted, pushed):
    train(world, pushed)
    settle(world, pushed)
    first = look(client, trusted, world.head)
    assert (first["lines"], first["done"]) == (["wine: training started"], False)
    assert look(client, trusted, world.head, first["next"])["lines"] == []


def test_a_run_is_followed_across_its_end_to_the_gates_refusal(world, client, trusted, pushed):
    train(world, pushed)
    settle(world, pushed)
    begun = look(client, trusted, world.head)
    finished = world.store(ended(world))
    trained = finished.leads_to(
        ModelTrained(model="wine", source="s", md5="m", size=1, run=RUN, commit=world.head)
    )
    settle(world, finished, build=[trained])
    refused = ModelRejected(model="wine", stage="release", reason="f1 0.61", commit=world.head)
    settle(world, trained, convert=[trained.leads_to(refused)])
    found = look(client, trusted, world.head, begun["next"])
    assert found["lines"] == ["wine: trained, 1 B", "wine: gate refused: f1 0.61"]
    assert (found["done"], found["failed"]) == (True, True)


def test_a_model_that_an_earlier_run_made_is_not_told_as_trained(world, client, trusted, pushed):
    made = ModelTrained(model="wine", source="s", md5="m", size=1, run=RUN, commit=world.head)
    trained = pushed.leads_to(made)
    settle(world, pushed, build=[trained])
    settle(world, trained)
    assert look(client, trusted, world.head)["lines"][0] == "wine: as run a1a1a1a1 made it before"


def test_the_same_model_file_again_says_that_it_serves_already(world, client, trusted, pushed):
    again = ModelVersioned(model="wine", source="s", md5="m", size=1, commit=world.head, upload="u")
    versioned = pushed.leads_to(again)
    settle(world, pushed, build=[versioned])
    settle(world, versioned)
    found = look(client, trusted, world.head)
    assert found["lines"][-1] == "wine: the same model serves already, nothing to release"


def test_what_was_told_is_not_told_again(world, client, trusted, pushed):
    rejected = pushed.leads_to(
        ModelRejected(model="wine", stage="build", reason="x", commit=world.head)
    )
    settle(world, pushed, build=[rejected])
    first = look(client, trusted, world.head)
    assert look(client, trusted, world.head, first["next"])["lines"] == []


def test_a_model_that_serves_already_is_no_silence(world, client, trusted, pushed):
    converted = pushed.leads_to(
        ModelConverted(model="wine", run="r", onnx="o", stable="", commit=world.head)
    )
    settle(world, pushed, build=[converted])
    settle(world, converted)
    found = look(client, trusted, world.head)
    assert found["lines"][-1] == "wine: the same model serves already, nothing to release"


def test_what_happened_before_the_event_is_not_its_story(world, client, trusted, pushed):
    old = ModelTrained(model="wine", source="s", md5="m", size=1, run=RUN, commit=world.head)
    world.store(replace(world.event(old, "0" * 64), extensions={"causationid": "4" * 64}))
    late = world.store(world.event(SourcePushed.from_event(pushed), "4" * 64))
    settle(world, late)
    found = look(client, trusted, late.id)
    assert (found["lines"], found["done"]) == (["nothing to build: no model changes by this"], True)


def test_moves_are_told_in_their_order_although_they_were_stored_in_another(
    world, client, trusted, pushed
):
    def moved(kind, generation, reason):
        return pushed.leads_to(
            kind(
                model="wine",
                rollout="x",
                generation=generation,
                release="r",
                version="1.1.0",
                stable="s",
                state="canary",
                split={"r": 10},
                reason=reason,
            ),
            event_id=f"{generation}" * 64,
        )

    settle(
        world, pushed, build=[moved(RolloutPromoted, 9, "last"), moved(RolloutAdvanced, 8, "first")]
    )
    lines = look(client, trusted, world.head)["lines"]
    assert [line.split(": ")[-1] for line in lines[:2]] == ["first", "last"]


def test_the_last_line_says_what_a_canary_waits_for(world, client, trusted, pushed):
    release = world.release("1.1.0")
    made = pushed.leads_to(
        ReleaseCreated(
            model="wine",
            release=release.digest,
            version="1.1.0",
            onnx="o",
            tag=release.tag,
            commit=world.head,
        )
    )
    settle(world, pushed, release=[made])
    settle(world, made)
    split = Traffic((("s" * 64, 100),))
    at = world.hands.now()
    opened = open_rollout(release, stable="s" * 64, cause="c", at=at, split=split)
    why = Decision(rollout=opened.id, generation=0, outcome="open", reason="", by="judge", at=at)
    world.rollouts.insert(opened, why)
    assert look(client, trusted, world.head)["lines"][-1] == (
        "wine: its canary waits for the judge to begin"
    )


def test_a_release_is_an_end_although_its_canary_goes_on(world, client, trusted, pushed):
    released = ReleaseCreated(
        model="wine", release="r", version="1.0.0", onnx="o", tag="wine@v1.0.0", commit=world.head
    )
    made = pushed.leads_to(released)
    settle(world, pushed, release=[made])
    settle(world, made)
    found = look(client, trusted, world.head)
    assert (found["done"], found["failed"]) == (True, False)
    assert "wine@v1.0.0" in found["lines"][0]


def test_what_a_station_gave_up_on_is_told_and_ends_it(world, client, trusted, pushed):
    settle_others = [s for s in consumers(pushed) if s != "build"]
    for station in settle_others:
        world.did(pushed, station)
    world.deliveries.bury(pushed, "build", reason="dvc.yaml is broken", code=422)
    found = look(client, trusted, world.head)
    assert "build gave up: dvc.yaml is broken" in found["lines"][0]
    assert (found["done"], found["failed"]) == (True, True)


def test_a_commit_below_a_pushed_one_is_followed_with_it(world, client, trusted):
    older, newer = world.head, world.history.push({"a": b"1"})
    payload = SourcePushed(repository="r", ref="refs/heads/main", before="", commit=newer)
    settle(world, world.store(world.event(payload, "1" * 64)))
    assert look(client, trusted, older)["done"] is True


@pytest.fixture
def uploaded(world):
    payload = DatasetUploaded(
        dataset="wine",
        bucket="b",
        key="wine/wine.csv",
        version="",
        etag="e",
        size=1,
        modified="",
        commit=world.head,
    )
    return world.store(world.event(payload, "3" * 64))


def read(world, upload):
    """Start the read of a large upload."""
    told = {"id": upload.id, "source": "s", "type": upload.type, "subject": "wine", "data": {}}
    told["time"] = upload.time.isoformat()
    world.hands.objects.put(f"{run_folder(RUN)}request.json", json.dumps(told).encode())
    world.journal.started(RUN, upload)
    world.jobs.ensure(JobSpec(kind="version", key=RUN, owner="wine.a1a1a1a1"))


def read_ended(world, state):
    world.jobs.cancel(RUN)
    payload = JobFinished(job="version", key=RUN, state=state, owner="wine.a1a1a1a1")
    return world.store(world.event(payload, "2" * 64))


def test_an_upload_is_followed_by_its_event(world, client, trusted, uploaded):
    refused = DatasetRejected(dataset="wine", reasons=["no rows"], verdict="v", upload=uploaded.id)
    settle(world, uploaded, version=[uploaded.leads_to(refused)])
    found = look(client, trusted, uploaded.id)
    assert (found["lines"], found["failed"]) == (["wine: refused: no rows"], True)


def test_each_tenth_of_the_read_of_a_large_upload_is_told_once(world, client, trusted, uploaded):
    read(world, uploaded)
    settle(world, uploaded)
    found, lines = {"next": 0}, []
    for share in (1, 4, 12, 13, 100):
        world.logs[RUN] = f"reading a\nreading {share} MB of 100 MB ({share} %)\n".encode()
        found = look(client, trusted, uploaded.id, found["next"])
        lines += found["lines"]
    assert [line.split(" MB")[0] for line in lines] == [
        "wine: reading 1",
        "wine: reading 12",
        "wine: reading 100",
    ]
    assert found["done"] is False


def test_a_large_upload_is_followed_across_its_read(world, client, trusted, uploaded):
    read(world, uploaded)
    settle(world, uploaded)
    finished = read_ended(world, "succeeded")
    versioned = DatasetVersioned(
        dataset="wine", path="p", md5="m", size=1, commit="c", verdict="v", upload=uploaded.id
    )
    settle(world, finished, version=[finished.leads_to(versioned)])
    settle(world, finished.leads_to(versioned))
    lines = look(client, trusted, uploaded.id)["lines"]
    assert ["checks passed" in lines[0], "no model is made anew" in lines[-1]] == [True, True]


def test_a_read_that_a_newer_upload_overtook_is_no_silence(world, client, trusted, uploaded):
    read(world, uploaded)
    settle(world, uploaded)
    settle(world, read_ended(world, "cancelled"))
    found = look(client, trusted, uploaded.id)
    assert (found["done"], "a newer upload took its place" in found["lines"][0]) == (True, True)
