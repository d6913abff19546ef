from datetime import timedelta

import pytest

from conveyor.domain.evidence import Evidence
from conveyor.domain.jobs import JobSpec
from conveyor.domain.line import RolloutPolicy
from conveyor.domain.payloads import DatasetRejected, ModelConverted, ModelRejected
from conveyor.domain.rollout import Decision, advance, open_rollout, pause
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import STABLE, ending_message
from conveyor.errors import InvalidLine
from conveyor.pointers import Pointer, dump_pointer

POLICY = RolloutPolicy(steps=(10, 50), min_requests=50)


def board(world):
    return world.desk.status()


def model(world):
    return board(world)["models"][0]


@pytest.fixture
def canary(world):
    """A candidate at 10 % beside a stable release."""
    stable, candidate = world.release("1.0.0"), world.release("1.1.0")
    message = ending_message(stable, rollout="r0", reason="ok")
    world.history.tag(f"wine#{STABLE}#1", stable.commit, message)
    opened = open_rollout(
        candidate,
        stable=stable.digest,
        cause="c",
        at=world.hands.now(),
        split=Traffic(((stable.digest, 100),)),
    )
    decision = Decision(
        rollout=opened.id, generation=0, outcome="open", reason="", by="judge", at=world.hands.now()
    )
    world.rollouts.insert(opened, decision)
    moved = advance(opened, POLICY, at=world.hands.now(), reason="the rollout begins")
    world.rollouts.move(moved, decision)
    world.rollouts.mark_applied(moved)
    world.services.tables["wine"] = moved.split
    return moved


def test_an_empty_line_says_what_it_waits_for(world):
    told = board(world)
    assert told["ready"]
    assert told["data"][0]["waits"] == "waits for its first upload: wine/wine.csv"
    assert told["models"][0]["waits"] == "waits for its data"


def test_a_large_upload_that_is_read_says_how_far_it_is(world):
    for key in ("k1", "k2"):
        world.jobs.ensure(JobSpec(kind="version", key=key, owner=f"wine.{key}"))
    told = board(world)
    assert told["data"][0]["waits"] == "wine/wine.csv: waits to be read"
    assert [job["owner"] for job in told["jobs"]] == ["wine", "wine"]
    world.logs["k2"] = b"reading 0 B of 3.4 GB (0 %)\nreading 1.2 GB of 3.4 GB (35 %)\n"
    told = board(world)
    assert told["data"][0]["waits"] == "wine/wine.csv: reading 1.2 GB of 3.4 GB (35 %)"
    assert told["models"][0]["waits"] == "waits for its data"


def test_a_line_without_a_commit_is_not_ready_and_says_what_to_push(world):
    world.history._heads.clear()
    told = board(world)
    assert not told["ready"]
    assert "git push" in told["problems"][0]


def test_a_broken_line_is_a_problem_on_the_board_and_no_error(world, monkeypatch):
    class Broken:
        def at(self, commit):
            message = "conveyor.yaml:3: it is broken"
            raise InvalidLine(message)

    object.__setattr__(world.desk, "lines", Broken())
    assert board(world)["problems"] == ["conveyor.yaml:3: it is broken"]


def test_a_version_shows_its_md5_and_rows(world):
    pointer = Pointer(path="wine.csv", md5="a" * 32, size=9, rows=178, verdict="v")
    world.history.push({"data/wine.csv.dvc": dump_pointer(pointer)})
    row = board(world)["data"][0]
    assert (row["version"], row["rows"], row["waits"]) == ("a" * 32, 178, "")


def test_the_last_refusal_is_shown_with_its_reasons(world):
    refused = DatasetRejected(dataset="wine", reasons=["no rows"], verdict="v", upload="u")
    world.store(world.event(refused))
    assert board(world)["data"][0]["refusal"]["reasons"] == ["no rows"]


REJECTED = ModelRejected(model="wine", stage="build", reason="it raised", commit="c")


def test_a_first_training_that_failed_is_told_instead_of_waiting(world):
    world.store(world.event(REJECTED))
    told = model(world)
    assert (told["waits"], told["refusal"]["stage"]) == ("", "build")


def test_a_refusal_is_history_once_a_newer_candidate_was_as_good_as_what_serves(world):
    world.store(world.event(REJECTED))
    same = ModelConverted(model="wine", run="r", onnx="o", stable="", commit="c")
    world.store(world.event(same, "f" * 64))
    assert model(world)["refusal"] is None


def test_a_candidate_that_was_refused_after_its_conversion_is_refused(world):
    made = ModelConverted(model="wine", run="r", onnx="o", stable="", commit="c")
    world.store(world.event(made, "f" * 64))
    world.store(world.event(REJECTED))
    assert model(world)["refusal"]["reasons"] == ["it raised"]


def test_a_model_whose_data_is_missing_names_it_and_waits_for_its_training_after(world):
    stages = b"stages: {train: {cmd: x, deps: [data/wine.csv], outs: [models/wine.skops]}}"
    world.history.push({"dvc.yaml": stages})
    assert model(world)["waits"] == "waits for its data: data/wine.csv"
    pointer = Pointer(path="wine.csv", md5="a" * 32, size=9)
    world.history.push({"dvc.yaml": stages, "data/wine.csv.dvc": dump_pointer(pointer)})
    assert model(world)["waits"] == "waits for its training"


def test_an_incomplete_upload_says_what_it_waits_for(world):
    world.incomplete.append("parts/: waits for its marker _SUCCESS")
    row = board(world)["data"][1]
    assert (row["waits"], row["marker"]) == ("parts/ waits for its marker _SUCCESS", "_SUCCESS")


def test_a_models_refusal_is_its_own_although_a_data_set_has_the_same_name(world):
    rejected = ModelRejected(model="wine", stage="build", reason="it raised", commit="c")
    world.store(world.event(rejected))
    told = board(world)
    assert told["data"][0]["refusal"] is None
    assert told["models"][0]["refusal"]["reasons"] == ["it raised"]


def test_a_canary_says_how_many_requests_it_waits_for(world, canary):
    world.evidence.put(
        canary.candidate, "i", 1, Evidence(requests=16), world.hands.now() + timedelta(seconds=1)
    )
    row = model(world)
    assert row["traffic"] == {"wine@v1.0.0": 90, "wine@v1.1.0": 10}
    assert (row["rollout"]["percent"], row["rollout"]["step"]) == (10, 1)
    assert row["waits"] == "waits for requests: 16 of 50"


@pytest.mark.usefixtures("canary")
def test_a_model_that_serves_says_where_it_is_asked(world):
    assert model(world)["url"] == "http://wine.example/v2/models/wine"
    world.nowhere = "its service was deleted a moment ago"
    assert model(world)["url"] is None
    world.nowhere = ""
    world.services.tables.clear()
    assert model(world)["url"] is None


def test_a_canary_without_traffic_says_what_comes_instead(world, canary):
    world.evidence.put(
        f"{canary.candidate}/replay/{canary.id}",
        "i",
        1,
        Evidence(requests=4),
        world.hands.now() + timedelta(seconds=1),
    )
    told = model(world)["waits"]
    assert told.startswith("waits for requests: 4 of 50; without any, stored ones are replayed")
    world.evidence.put(canary.stable, "i", 1, Evidence(requests=9), world.hands.now())
    assert "once nobody asked the model for 120 s" in model(world)["waits"]


def test_a_paused_rollout_waits_for_a_person(world, canary):
    held = pause(canary, by="anna", reason="lunch")
    decision = Decision(
        rollout=held.id, generation=2, outcome="pause", reason="", by="anna", at=world.hands.now()
    )
    world.rollouts.move(held, decision)
    world.rollouts.mark_applied(held)
    assert "conveyor rollouts resume wine" in model(world)["waits"]


def test_a_running_job_is_on_the_board_and_what_its_model_waits_for(world):
    world.jobs.ensure(JobSpec(kind="train", key="k", owner="wine", command=("x",)))
    told = board(world)
    assert told["jobs"][0]["phase"] == "work"
    assert told["models"][0]["waits"] == "waits for its train run"


def test_what_a_job_waits_for_is_told_of_its_model(world):
    world.jobs.ensure(JobSpec(kind="train", key="k", owner="wine", command=("x",)))
    world.jobs.reasons["k"] = "waits for a GPU: no node has enough nvidia.com/gpu free"
    told = board(world)
    assert told["jobs"][0]["reason"].startswith("waits for a GPU")
    assert told["models"][0]["waits"].startswith("waits for its train run: waits for a GPU")


def test_the_next_retraining_is_told(world):
    assert model(world)["retrain"] == "2026-11-22T03:00:00Z"


def test_an_ignored_upload_is_told_with_what_to_do(world):
    world.journal.ignored("x.csv", "nobody takes it", world.hands.now())
    assert board(world)["ignored"][0]["key"] == "x.csv"


def test_owed_and_dead_deliveries_are_counted(world):
    refused = DatasetRejected(dataset="wine", reasons=[], verdict="v", upload="u")
    event = world.store(world.event(refused))
    world.deliveries.bury(event, "build", reason="x", code=500)
    assert board(world)["deliveries"]["dead"] == 1
