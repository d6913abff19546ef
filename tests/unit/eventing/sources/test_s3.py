"""From what an endpoint sends to notices of new objects, and never an error for what is JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.eventing.sources.s3 import MAX_EXCERPT, read


def record(key="wine/wine.csv", event="s3:ObjectCreated:Put", bucket="data", **stored):
    facts = {"eTag": "e1", "sequencer": "17A", "size": 3, **stored}
    return {"eventName": event, "s3": {"bucket": {"name": bucket}, "object": {"key": key, **facts}}}


def told(*records):
    body = {"EventName": "s3:ObjectCreated:Put", "Key": "data/x", "Records": list(records)}
    return read(body, bucket="data")


def bridged(key="wine/wine.csv", kind="Object Created"):
    stored = {"key": key, "size": 3, "etag": "e1", "version-id": "v1", "sequencer": "17A"}
    return {"detail-type": kind, "detail": {"bucket": {"name": "data"}, "object": stored}}


@pytest.mark.parametrize("event", ["s3:ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Put"])
def test_a_record_of_minio_or_aws_is_a_notice_of_its_key(event):
    (notice,) = told(record(event=event, versionId="v1")).notices
    assert notice.body == {
        "key": "wine/wine.csv",
        "bucket": "data",
        "version": "v1",
        "etag": "e1",
        "sequencer": "17A",
    }


@pytest.mark.parametrize(
    ("escaped", "key"),
    [("a+b%2Fc%C3%BC.csv", "a b/cü.csv"), ("1%2B1.csv", "1+1.csv"), ("a%2526.csv", "a%26.csv")],
)
def test_a_key_is_escaped_as_in_a_query(escaped, key):
    assert told(record(escaped)).notices[0].body["key"] == key


def test_a_key_from_eventbridge_is_as_it_is():
    (notice,) = read(bridged("1+1 %2F.csv"), bucket="data").notices
    assert notice.body["key"] == "1+1 %2F.csv"
    assert read(bridged(kind="Object Deleted"), bucket="data").ignored == 1


def test_all_dialects_give_one_upload_the_same_identity():
    (direct,) = told(record(versionId="v1")).notices
    assert read(bridged(), bucket="data").notices[0].identity == direct.identity


@pytest.mark.parametrize(
    "other",
    [
        {"versionId": "v2"},
        {"sequencer": "17B"},
        {"eTag": "e2"},
        {"key": "wine/wine.csv2"},
    ],
)
def test_each_upload_is_another_notice_and_the_same_one_told_twice_is_not(other):
    assert len(told(record(), record()).notices) == 1
    assert len(told(record(), record(**other)).notices) == 2


def test_no_version_is_no_identity():
    (first,), (second,) = (
        told(record(versionId="null", sequencer=sequencer)).notices for sequencer in "12"
    )
    assert first.identity != second.identity


@pytest.mark.parametrize(
    "record_",
    [
        record(bucket="other"),
        record("_conveyor/dvc/files/md5/aa/bb"),
        record("_conveyor%2Fx"),
        record("photos/"),
        record(event="s3:ObjectRemoved:Delete"),
        record(event="ObjectRemoved:DeleteMarkerCreated"),
        record(event="s3:ObjectAccessed:Get"),
    ],
)
def test_what_is_not_a_users_new_object_is_ignored(record_):
    assert told(record_).notices == ()
    assert told(record_).ignored == 1


def test_the_event_that_aws_sends_at_set_up_is_ignored():
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "data"}
    assert read(body, bucket="data").notices == ()


@pytest.mark.parametrize(
    ("malformed", "says"),
    [
        ([], "no S3 notification"),
        ({"hello": 1}, "s3"),
        ("Records", "no S3 notification"),
        (None, "no S3 notification"),
        ({"Records": {"a": 1}}, "s3"),
        ({"Records": [1]}, "no S3 notification"),
        ({"Records": [record(key=7)]}, "key is '7'"),
        ({"Records": [record(key="")]}, "key is ''"),
        ({"Records": [record(key="%FF")]}, "UnicodeDecodeError"),
        ({"Records": [record(key="x" * 1025)]}, "more than 1024 bytes"),
        ({"Records": [record(key="x" * 5000)]}, "expected up to"),
        ({"Records": [record(versionId=["v"])]}, "versionId"),
        ({"detail-type": "Object Created"}, "detail"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_fault(malformed, says):
    (notice,) = read(malformed, bucket="data").notices
    assert says in notice.body["fault"]
    assert notice.body["record"]
    assert "key" not in notice.body


def test_one_record_that_cannot_be_read_hides_no_other():
    found = told(record("a.csv"), {"s3": None}, record("b.csv"))
    assert [notice.body.get("key") for notice in found.notices] == ["a.csv", None, "b.csv"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "s3", "object", "key", "detail", "detail-type", "bucket", "name"]
            ),
            inner,
        )
    ),
)


@given(JSON)
def test_whatever_is_json_is_read_without_an_error_and_bounded(body):
    for notice in read(json.loads(json.dumps(body)), bucket="data").notices:
        assert len(json.dumps(notice.body)) < 20 * MAX_EXCERPT
