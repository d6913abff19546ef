from dataclasses import fields
from datetime import UTC, datetime

import pytest

from conveyor.domain.events import Event, new_event
from conveyor.domain.evidence import Evidence
from conveyor.domain.payloads import (
    EVERY,
    DatasetUploaded,
    InferenceObserved,
    JobFinished,
    ReleaseCreated,
    RolloutRequested,
)
from conveyor.ledger.mentions import mentions

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def raw(kind, data):
    return Event(id="i", source="/s", type=kind, subject="s", time=NOW, data=data)


def of(payload):
    return mentions(new_event(payload, line="shop", event_id="id", time=NOW))


def test_an_upload_mentions_its_object_and_commit():
    payload = DatasetUploaded(
        dataset="wine",
        bucket="data",
        key="wine/wine.csv",
        version="",
        etag="e",
        size=1,
        modified="",
        commit="c",
    )
    assert of(payload) == {("object", "wine/wine.csv"), ("commit", "c")}


def test_the_key_of_a_job_is_a_run_and_no_object():
    payload = JobFinished(job="train", key="k", state="succeeded", owner="wine")
    assert of(payload) == {("run", "k"), (">run", "k")}


def test_a_release_mentions_every_name_it_has():
    payload = ReleaseCreated(
        model="wine", release="d", version="1.0.0", onnx="o", tag="wine@v1.0.0", commit="c"
    )
    release = {("release", "d"), ("release>", "d"), ("tag", "wine@v1.0.0")}
    assert of(payload) == release | {("onnx", "o"), ("commit", "c")}


def test_what_a_person_asked_for_mentions_the_release_as_they_wrote_it():
    payload = RolloutRequested(
        model="wine", action="rollback", command="x", by="ann", release="wine@v1.0.0"
    )
    assert ("tag", "wine@v1.0.0") in of(payload)


def test_traffic_summaries_are_not_indexed():
    payload = InferenceObserved(
        model="wine", revision="d", instance="i", window=1, summary=Evidence().to_summary()
    )
    assert of(payload) == frozenset()


@pytest.mark.parametrize("value", [None, 7, ["c"], ""])
def test_a_field_that_is_no_name_is_not_mentioned(value):
    assert mentions(raw("dev.conveyor.source.pushed.v1", {"commit": value})) == frozenset()


NAMELESS = {
    "action",
    "bucket",
    "body",
    "by",
    "dataset",
    "etag",
    "files",
    "generation",
    "instance",
    "job",
    "model",
    "modified",
    "notice",
    "origin",
    "outcome",
    "owner",
    "path",
    "reason",
    "reasons",
    "ref",
    "repository",
    "rows",
    "schedule",
    "size",
    "split",
    "stage",
    "state",
    "summary",
    "tick",
    "ticks",
    "version",
    "window",
    "log",
    "before",
    "stable",
    "revision",
    "data",
}
"""Fields that name nothing one could ask for, or only what another event's field names already."""


def test_every_field_is_either_a_name_that_is_indexed_or_known_not_to_be_one():
    """A new payload field must be decided on, or traces would not find what it names."""
    indexed = {
        field.name
        for payload in EVERY
        for field in fields(payload)
        if mentions(raw(payload.event_type(), {field.name: "x"}))
    }
    assert {field.name for payload in EVERY for field in fields(payload)} == indexed | NAMELESS
    assert not indexed & NAMELESS


def test_a_release_mentions_the_versions_of_its_data_as_its_causes():
    payload = ReleaseCreated(
        model="wine",
        release="r" * 64,
        version="1.0.0",
        onnx="o" * 64,
        tag="wine@v1.0.0",
        commit="c",
        data={"data/wine.csv": "m" * 32, "data/odd.csv": ""},
    )
    assert {pair for pair in of(payload) if "data" in pair[0]} == {
        ("data", "m" * 32),
        (">data", "m" * 32),
    }
