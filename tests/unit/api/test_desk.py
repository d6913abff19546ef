import pytest

from conveyor.domain.jobs import JobSpec
from conveyor.domain.payloads import JobFinished, ModelTrained, RolloutRequested
from conveyor.domain.rollout import Decision, open_rollout
from conveyor.domain.traffic import Traffic
from conveyor.domain.versions import STABLE, ending_message

API = "/api/v1"
RUN = "c0ffee" + "0" * 58
TRAINED = ModelTrained(model="wine", source="s", md5="m", size=1, run=RUN, commit="c")


def command(client, trusted, action, **asked):
    return client.post(f"{API}/rollouts/wine/{action}", json=asked, headers=trusted)


@pytest.fixture
def canary(world):
    release = world.release("1.0.0")
    now = world.hands.now()
    opened = open_rollout(release, stable="", cause="c", at=now, split=Traffic())
    decision = Decision(
        rollout=opened.id, generation=0, outcome="open", reason="", by="judge", at=now
    )
    return world.rollouts.insert(opened, decision)


def test_a_command_is_stored_signed_and_published_with_who_gave_it(world, client, trusted, canary):
    answer = command(client, trusted, "pause", by="anna", reason="lunch")
    assert answer.status_code == 202
    (event,) = world.published
    asked = RolloutRequested.from_event(event)
    assert (asked.action, asked.by, asked.reason) == ("pause", "anna", "lunch")
    assert world.keyring.verify(event) == "line"


def test_the_same_command_sent_twice_is_one(world, client, trusted, canary):
    for _ in range(2):
        command(client, trusted, "pause", by="anna", command="once")
    assert len(world.published) == 1


@pytest.mark.parametrize(
    ("action", "asked", "status"),
    [
        ("explode", {"by": "anna"}, 422),
        ("pause", {}, 422),
        ("pause", {"by": "a" * 300}, 422),
        ("pause", {"by": "anna"}, 409),
        ("pause", {"by": "anna", "release": "v1"}, 422),
        ("rollback", {"by": "anna", "release": "v9.9.9"}, 404),
        ("rollback", {"by": "anna"}, 409),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_before_it_is_stored(  # noqa: PLR0913, PLR0917
    world, client, trusted, action, asked, status
):
    world.release("1.0.0")
    assert command(client, trusted, action, **asked).status_code == status
    assert not world.published


def test_a_command_for_an_unknown_model_is_404(client, trusted):
    answer = client.post(f"{API}/rollouts/beer/pause", json={"by": "a"}, headers=trusted)
    assert answer.status_code == 404


def test_going_back_to_what_is_stable_already_is_refused(world, client, trusted):
    made = world.release("1.0.0")
    message = ending_message(made, rollout="r", reason="ok")
    world.history.tag(f"wine#{STABLE}#1", made.commit, message)
    answer = command(client, trusted, "rollback", by="anna", release="v1.0.0")
    assert (answer.status_code, "already" in answer.json["error"]) == (409, True)


def test_releases_are_listed_newest_first_with_the_stable_one_marked(world, client, trusted):
    first, _ = world.release("1.0.0"), world.release("1.10.0")
    message = ending_message(first, rollout="r", reason="ok")
    world.history.tag(f"wine#{STABLE}#1", first.commit, message)
    listed = client.get(f"{API}/releases?model=wine", headers=trusted).json["releases"]
    assert [(each["version"], each["stable"], each["url"]) for each in listed] == [
        ("1.10.0", False, None),
        ("1.0.0", True, "http://wine.example/v2/models/wine"),
    ]


def test_rollouts_come_with_their_decisions(world, client, trusted, canary):
    (told,) = client.get(f"{API}/rollouts", headers=trusted).json["rollouts"]
    assert told["decisions"][0]["outcome"] == "open"


def test_events_come_in_order_with_their_story_and_go_on_where_they_ended(world, client, trusted):
    world.store(world.event(TRAINED, "1" * 64))
    first = client.get(f"{API}/events", headers=trusted).json
    assert "wine: trained" in first["events"][0]["story"]
    world.store(world.event(TRAINED, "2" * 64))
    second = client.get(f"{API}/events?after={first['next']}", headers=trusted).json
    assert [event["id"] for event in second["events"]] == ["2" * 64]


def test_after_minus_one_gives_the_newest_events_oldest_first(world, client, trusted):
    for number in "123":
        world.store(world.event(TRAINED, number * 64))
    found = client.get(f"{API}/events?after=-1&limit=2", headers=trusted).json
    assert [event["id"][0] for event in found["events"]] == ["2", "3"]


def test_a_trace_takes_names_with_slashes_signs_and_addresses(world, client, trusted):
    world.store(world.event(TRAINED))
    assert client.get(f"{API}/trace/{RUN}", headers=trusted).json["kind"] == "run"
    for name in ("wine/wine.csv", "wine%23stable%231", "s3://bucket/a//b"):
        assert client.get(f"{API}/trace/{name}", headers=trusted).json["kind"] == "NotFound"


def test_a_log_is_read_on_from_where_it_ended_and_never_cuts_a_character(world, client, trusted):
    world.jobs.ensure(JobSpec(kind="train", key=RUN, owner="wine", command=("x",)))
    world.logs[RUN] = "größe".encode()[:4]
    first = client.get(f"{API}/runs/c0ffee/log", headers=trusted).json
    assert (first["text"], first["next"], first["done"]) == ("grö", 4, False)
    world.logs[RUN] = "größe".encode()[:5]
    half = client.get(f"{API}/runs/c0ffee/log?after=4", headers=trusted).json
    assert (half["text"], half["next"]) == ("", 4)


def test_the_log_of_an_ended_run_is_done_after_its_last_byte(world, client, trusted):
    world.store(world.event(JobFinished(job="train", key=RUN, state="failed", owner="wine")))
    world.logs[RUN] = b"it raised\n"
    first = client.get(f"{API}/runs/{RUN}/log", headers=trusted).json
    last = client.get(f"{API}/runs/{RUN}/log?after={first['next']}", headers=trusted).json
    assert (first["done"], last["done"], last["text"]) == (False, True, "")


@pytest.mark.parametrize("key", ["..%2f..%2fetc", "-x", "nothing", "a%00b"])
def test_a_key_that_is_no_run_never_becomes_a_path(client, trusted, key):
    assert client.get(f"{API}/runs/{key}/log", headers=trusted).status_code == 404


def test_a_dead_letter_is_shown_and_replayed_with_its_own_id(world, client, trusted):
    event = world.store(world.event(TRAINED))
    world.deliveries.bury(event, "convert", reason="poison", code=500)
    (letter,) = client.get(f"{API}/dead-letters", headers=trusted).json["letters"]
    assert (letter["station"], letter["reason"], letter["code"]) == ("convert", "poison", 500)
    answer = client.post(f"{API}/dead-letters/{event.id[:8]}/replay", headers=trusted)
    assert answer.json == {"event": event.id, "published": 1}
    assert [again.id for again in world.published] == [event.id]


def test_replaying_what_is_not_dead_is_404(world, client, trusted):
    event = world.store(world.event(TRAINED))
    path = f"{API}/dead-letters/{event.id}/replay"
    assert client.post(path, headers=trusted).status_code == 404
    assert client.post(path, json={"station": "x"}, headers=trusted).status_code == 404


def test_reconcile_looks_and_publishes_what_is_owed(world, client, trusted):
    world.store(world.event(TRAINED))
    world.hands.time = world.hands.time.replace(hour=13)
    assert client.post(f"{API}/reconcile", headers=trusted).json == {"published": 1}
    assert world.looks


def test_an_upload_before_the_first_push_is_to_be_tried_again(world, client, trusted):
    world.history._heads.clear()
    answer = client.put(f"{API}/objects/wine/wine.csv", data=b"x", headers=trusted)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert not world.hands.objects.stored


def test_an_upload_that_nobody_takes_says_so(client, trusted):
    answer = client.put(f"{API}/objects/other.csv", data=b"x", headers=trusted)
    assert answer.json["taker"] is None


def test_a_member_of_a_directory_says_which_marker_is_to_be_put_last(client, trusted):
    answer = client.put(f"{API}/objects/parts/a.csv", data=b"x", headers=trusted)
    told = answer.json
    assert (told["taker"], told["waits"]) == (
        "parts",
        "waits for parts/_SUCCESS, which is to be put last",
    )
    marker = client.put(f"{API}/objects/parts/_SUCCESS", data=b"x", headers=trusted)
    assert marker.json["waits"] == ""


@pytest.mark.parametrize("name", ["wine@v1.0.0", "100aaaaa", "100aaaaaaaaaaaaa-5b1e"])
def test_a_release_whose_events_are_gone_is_traced_by_its_tag(world, client, trusted, name):
    made = world.release("1.0.0")
    told = client.get(f"{API}/trace/{name}", headers=trusted).json
    assert (told["facts"]["tag"], told["events"]) == ([made.tag], [])
    assert told["facts"]["commit"] == [world.head]
    assert "no events" in told["lost"]


def test_what_was_never_released_is_still_not_found(world, client, trusted):
    world.release("1.0.0")
    assert client.get(f"{API}/trace/wine@v9.0.0", headers=trusted).status_code == 404
