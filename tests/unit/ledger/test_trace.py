"""A small line's life is stored, then asked for by every name it has."""

import hashlib
from datetime import UTC, datetime

import pytest

from conveyor.domain.events import Event, new_event
from conveyor.domain.payloads import (
    DatasetUploaded,
    DatasetVersioned,
    JobFinished,
    ModelConverted,
    ModelTrained,
    OutcomeObserved,
    ReleaseCreated,
    RolloutPromoted,
    ScheduleFired,
    job_id,
)
from conveyor.errors import NotFound
from conveyor.ledger.trace import Trace

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


MD5, COMMIT, LOCK = sha("md5")[:32], sha("commit")[:40], sha("lock")[:40]
TRAIN, CONVERT, RELEASE, ONNX = sha("train"), sha("convert"), sha("release"), sha("onnx")


def new(payload, event_id, **extensions) -> Event:
    return new_event(payload, line="shop", event_id=event_id, time=NOW, extensions=extensions)


def upload(name="upload", key="wine/wine.csv") -> Event:
    payload = DatasetUploaded(
        dataset="wine", bucket="b", key=key, version="", etag="e", size=1, modified="", commit="0"
    )
    return new(payload, sha(name))


def versioned(cause: Event, md5: str = MD5) -> Event:
    return cause.leads_to(
        DatasetVersioned(
            dataset="wine",
            path="p",
            md5=md5,
            size=1,
            commit=COMMIT,
            verdict="_conveyor/v",
            upload=cause.id,
        )
    )


def ended(kind: str, key: str) -> Event:
    payload = JobFinished(job=kind, key=key, state="succeeded", owner="wine")
    return new(payload, job_id(kind, key))


def promoted(tick: Event) -> Event:
    return tick.leads_to(
        RolloutPromoted(
            model="wine",
            rollout=sha("rollout"),
            generation=1,
            release=RELEASE,
            version="1.0.0",
            stable="",
            state="promoted",
            split={RELEASE: 100},
            reason="first",
        )
    )


@pytest.fixture
def story(deliveries, journal) -> dict[str, Event]:
    """An upload that became the stable release wine@v1.0.0, by a training and a conversion run."""
    events = {"upload": upload()}
    events["versioned"] = versioned(events["upload"])
    events["train"] = ended("train", TRAIN)
    trained = ModelTrained(
        model="wine", source="runs/m", md5=sha("m")[:32], size=1, run=TRAIN, commit=LOCK
    )
    events["trained"] = events["train"].leads_to(trained)
    events["convert"] = ended("convert", CONVERT)
    converted = ModelConverted(model="wine", run=CONVERT, onnx=ONNX, stable="", commit=LOCK)
    events["converted"] = events["convert"].leads_to(converted)
    created = ReleaseCreated(
        model="wine", release=RELEASE, version="1.0.0", onnx=ONNX, tag="wine@v1.0.0", commit=LOCK
    )
    events["release"] = events["converted"].leads_to(created)
    tick = ScheduleFired(schedule="minute", tick="t", commit="0")
    events["tick"] = new(tick, sha("tick"))
    events["promoted"] = promoted(events["tick"])
    for event in events.values():
        deliveries.store(event)
    journal.started(TRAIN, events["versioned"])
    journal.started(CONVERT, events["trained"])
    return events


@pytest.fixture
def trace(ledger, story):
    def ask(name: str, **options) -> dict[str, list[str]]:
        titles = {event.id: title for title, event in story.items()}
        report = Trace(ledger, **options).trace(name)
        return {
            direction: [titles[n.event.id] for n in report.nodes if n.direction == direction]
            for direction in ("up", "here", "down")
        }

    return ask


CHAIN = ["upload", "versioned", "train", "trained", "convert", "converted", "release"]


def test_an_upload_leads_to_everything_that_came_of_it(trace):
    assert trace(sha("upload")) == {
        "up": [],
        "here": ["upload"],
        "down": [*CHAIN[1:], "promoted"],
    }


def test_an_event_in_the_middle_is_followed_both_ways(trace, story):
    assert trace(story["trained"].id) == {
        "up": CHAIN[:3],
        "here": ["trained"],
        "down": [*CHAIN[4:], "promoted"],
    }


def test_a_promotion_comes_from_its_tick_and_from_the_upload(trace, story):
    assert trace(story["promoted"].id) == {
        "up": [*CHAIN, "tick"],
        "here": ["promoted"],
        "down": [],
    }


@pytest.mark.parametrize(
    ("name", "kind", "here"),
    [
        ("wine/wine.csv", "object", ["upload"]),
        ("s3://b/wine/wine.csv", "object", ["upload"]),
        (COMMIT, "commit", ["versioned"]),
        (LOCK[:8], "commit", ["trained", "converted", "release"]),
        (MD5, "data", ["versioned"]),
        (TRAIN, "run", ["train", "trained"]),
        (CONVERT[:12], "run", ["convert", "converted"]),
        (RELEASE, "release", ["release", "promoted"]),
        ("wine@v1.0.0", "tag", ["release"]),
        (ONNX, "onnx", ["converted", "release"]),
        (sha("rollout"), "rollout", ["promoted"]),
        (f"{RELEASE[:16]}-7f:3/x", "prediction", ["release", "promoted"]),
        (sha("upload")[:8], "event", ["upload"]),
    ],
)
def test_everything_can_be_asked_for_by_its_name(ledger, trace, name, kind, here):
    assert Trace(ledger).trace(name).resolved.kind == kind
    answer = trace(name)
    assert answer["here"] == here
    assert "upload" in [*answer["up"], *answer["here"]]


def test_a_shortened_name_is_given_in_full(ledger, story):
    assert Trace(ledger).trace(ONNX[:9]).resolved.value == ONNX


def test_a_prediction_is_traced_to_release_onnx_commit_data_and_upload(ledger, story):
    facts = Trace(ledger).trace(f"{RELEASE[:16]}-1").facts
    assert (facts["release"], facts["onnx"], facts["tag"]) == (
        (RELEASE,),
        (ONNX,),
        ("wine@v1.0.0",),
    )
    assert (facts["data"], facts["object"][0]) == ((MD5,), "wine/wine.csv")
    assert facts["commit"] == ("0", COMMIT, LOCK)
    assert not any(">" in kind for kind in facts)


def test_an_outcome_is_found_by_the_prediction_it_is_about(ledger, deliveries, story):
    prediction = f"{RELEASE[:16]}-1"
    outcome = new(OutcomeObserved(prediction=prediction, outcome="good"), sha("outcome"))
    deliveries.store(outcome)
    here = [
        node.event for node in Trace(ledger).trace(prediction).nodes if node.direction == "here"
    ]
    assert here == [story["release"], story["promoted"], outcome]


def test_a_key_uploaded_twice_has_both_uploads(ledger, deliveries, story):
    deliveries.store(upload("again"))
    nodes = Trace(ledger).trace("wine/wine.csv").nodes
    assert [node.event.id for node in nodes if node.direction == "here"] == [
        sha("upload"),
        sha("again"),
    ]


def test_nodes_name_their_causes_and_come_after_them(ledger, story):
    nodes = Trace(ledger).trace(sha("upload")).nodes
    titles = {node.sequence: node for node in nodes}
    assert all(cause < node.sequence and cause in titles for node in nodes for cause in node.causes)
    assert all(node.causes for node in nodes[1:])


def test_the_correlation_leads_on_where_the_cause_was_lost(ledger, deliveries):
    first = upload()
    lost = versioned(versioned(first)).with_extensions(causationid=sha("never stored"))
    for event in (first, lost):
        deliveries.store(event)
    nodes = Trace(ledger).trace(lost.id).nodes
    assert [(node.event.id, node.direction) for node in nodes] == [
        (first.id, "up"),
        (lost.id, "here"),
    ]


@pytest.mark.parametrize(
    "name", ["", "x", "wine@v9.9.9", "%", "f" * 64, "f" * 16 + "-1", "' OR 1=1"]
)
def test_an_unknown_name_is_not_found(ledger, story, name):
    with pytest.raises(NotFound, match="nothing in the ledger is named"):
        Trace(ledger).trace(name)


def test_seven_characters_are_too_few(ledger, story):
    with pytest.raises(NotFound):
        Trace(ledger).trace(ONNX[:7])


def test_a_prefix_of_several_names_is_refused_with_their_names(ledger, deliveries):
    for tail in ("1", "2"):
        deliveries.store(versioned(upload(tail), md5="abcdefab" + tail * 24))
    with pytest.raises(NotFound, match=r"begins more than one name: abcdefab1+, abcdefab2+; give"):
        Trace(ledger).trace("abcdefab")


def test_events_that_cause_each_other_do_not_hang(ledger, deliveries):
    for name, cause in (("a", "b"), ("b", "a"), ("c", "c")):
        deliveries.store(upload(name).with_extensions(causationid=sha(cause)))
    assert len(Trace(ledger).trace(sha("a")).nodes) == 2
    assert len(Trace(ledger).trace(sha("c")).nodes) == 1


def test_a_report_is_bounded_and_says_so(ledger, deliveries):
    deliveries.store(upload())
    for number in range(30):
        deliveries.store(
            versioned(upload())
            .with_extensions()
            .__class__(**{**vars(versioned(upload())), "id": f"child-{number}"})
        )
    report = Trace(ledger, limit=10).trace(sha("upload"))
    assert (len(report.nodes), report.truncated) == (10, True)
    assert not Trace(ledger).trace(sha("upload")).truncated


def test_a_trace_is_the_same_each_time(ledger, story):
    assert Trace(ledger).trace(LOCK) == Trace(ledger).trace(LOCK)
