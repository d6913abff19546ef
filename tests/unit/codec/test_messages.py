"""Events on the wire: what is taken, what is refused, and that nothing changes on the way."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.codec import decode, decode_batch, encode, from_json, to_json
from conveyor.domain.events import MAX_EVENT_BYTES, Event
from conveyor.errors import InvalidEvent

HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}
MEMBERS = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}

text = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=30)
names = st.from_regex("ext[a-z0-9]{0,9}", fullmatch=True)
numbers = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
events = st.builds(
    Event,
    id=text,
    source=text,
    type=text,
    subject=text | st.just(""),
    time=st.datetimes(timezones=st.just(UTC)),
    data=st.dictionaries(text, values, max_size=4),
    extensions=st.dictionaries(names, text, max_size=3),
)
headers = st.dictionaries(
    st.sampled_from(["ce-id", "CE-ID", "ce-source", "ce-type", "ce-time", "ce-specversion", "ce-"])
    | st.sampled_from(["content-type", "ce-a_b", "ce-data", "ce-subject"])
    | st.text(max_size=10),
    st.sampled_from(["1.0", "application/json", "application/cloudevents+json", "%ff", '"', "1"])
    | st.sampled_from(["application/cloudevents-batch+json", "2020-02-30T00:00:00Z"])
    | st.text(max_size=30),
)
bodies = (
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*MEMBERS, "time", "x"]), values)
    .map(json.dumps)
    .map(str.encode)
    | st.lists(st.just(MEMBERS) | values).map(json.dumps).map(str.encode)
)


@given(event=events)
def test_every_event_survives_both_modes_unchanged(event):
    assert decode(*encode(event)) == event
    assert decode(STRUCTURED, to_json(event)) == event
    assert from_json(to_json(event)) == event


@settings(max_examples=400)
@given(headers=headers, body=bodies)
def test_garbage_is_refused_and_never_anything_else(headers, body):
    for read in (decode, decode_batch):
        try:
            found = read(headers, body)
        except InvalidEvent:
            continue
        for event in (found,) if isinstance(found, Event) else found:
            assert from_json(to_json(event)) == event


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"ce-id": ""}, "'id' is missing or empty"),
        ({"ce-source": None}, "'source' is missing"),
        ({"ce-type": "x" * 3000}, "3000 characters"),
        ({"ce-my_name": "1"}, "no attribute name"),
        ({"ce-data": "1"}, "no attribute name"),
        ({"CE-ID": "2"}, "sent twice"),
        ({"ce-subject": "a, b"}, "sent twice"),
        ({"ce-subject": "é"}, "percent-encoded"),
        ({"ce-subject": "%FF"}, "not UTF-8"),
        ({"ce-subject": "a%0Ab"}, "control character"),
        ({"ce-specversion": "0.3"}, "send '1.0'"),
        ({"ce-time": "yesterday"}, "RFC 3339"),
        ({"ce-time": "2026-02-30T00:00:00Z"}, "RFC 3339"),
        ({"ce-time": "0001-01-01T00:00:00+23:00"}, "RFC 3339"),
        ({"Content-Type": "text/csv"}, "send application/json"),
        ({"ce-datacontenttype": "application/json"}, "Content-Type"),
    ],
)
def test_a_wrong_header_is_refused_with_what_to_mend(change, remedy):
    sent = {**HEADERS, "Content-Type": "application/json", **change}
    with pytest.raises(InvalidEvent, match=remedy):
        decode({name: value for name, value in sent.items() if value is not None}, b"{}")


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9223372036854775808}', "64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "64 bits"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "deeper than 32"),
        (b'{"a": ' + b"[" * 30000 + b"]" * 30000 + b"}", "JSON"),
        (b'{"a": "\\ud800"}', "JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b"[1]", "object"),
        (b'"x"', "object"),
        (b"{", "JSON"),
        (b'{"a": "' + b"x" * MAX_EVENT_BYTES + b'"}', "send a reference"),
    ],
)
def test_wrong_data_is_refused_with_what_to_mend(data, remedy):
    with pytest.raises(InvalidEvent, match=remedy):
        decode({**HEADERS, "Content-Type": "application/json"}, data)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"data_base64": "AA=="}, "data_base64"),
        ({"x": 1.5}, "float"),
        ({"x": {}}, "dict"),
        ({"id": None}, "missing"),
        ({"time": 5}, "RFC 3339"),
        ({"datacontenttype": "text/xml"}, "application/json"),
        ({"data": [1]}, "object"),
    ],
)
def test_a_wrong_member_is_refused_with_what_to_mend(change, remedy):
    with pytest.raises(InvalidEvent, match=remedy):
        decode(STRUCTURED, json.dumps({**MEMBERS, **change}).encode())


def test_values_that_are_not_text_become_what_binary_mode_would_say():
    event = decode(STRUCTURED, json.dumps({**MEMBERS, "flag": True, "n": 3, "no": None}).encode())
    assert event.extensions == {"flag": "true", "n": "3"}


def test_a_time_of_any_zone_is_the_same_instant():
    event = decode({**HEADERS, "ce-time": "2026-01-31t12:00:00.123456789+02:00"}, b"")
    assert event.time == datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)


def test_a_quoted_header_is_unquoted_once_and_percent_decoded_once():
    assert decode({**HEADERS, "ce-subject": '"a%2520\\"b"'}, b"").subject == 'a%20"b'


def test_a_large_event_of_many_scripts_is_as_small_again_when_it_leaves():
    body = json.dumps({"a": "ж" * 30_000}, ensure_ascii=False).encode()
    event = decode({**HEADERS, "Content-Type": "application/json"}, body)
    assert decode(*encode(event)) == event


def test_a_batch_is_read_in_order_and_one_event_is_a_batch_of_one():
    batch = json.dumps([{**MEMBERS, "id": str(n)} for n in range(3)]).encode()
    assert [event.id for event in decode_batch(BATCHED, batch)] == ["0", "1", "2"]
    assert [event.id for event in decode_batch(HEADERS, b"")] == ["1"]


def test_a_batch_names_the_place_of_its_first_wrong_event():
    batch = json.dumps([MEMBERS, {**MEMBERS, "id": ""}]).encode()
    with pytest.raises(InvalidEvent, match="event 1 of the batch: the attribute 'id'"):
        decode_batch(BATCHED, batch)


@pytest.mark.parametrize(
    ("batch", "remedy"),
    [(MEMBERS, "array"), ([MEMBERS] * 1001, "1001 events"), (["x" * 5_000_000], "bytes")],
)
def test_a_batch_that_is_none_or_too_large_is_refused(batch, remedy):
    with pytest.raises(InvalidEvent, match=remedy):
        decode_batch(BATCHED, json.dumps(batch).encode())


def test_a_batch_where_one_event_belongs_is_refused():
    with pytest.raises(InvalidEvent, match="one event per request"):
        decode(BATCHED, b"[]")


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"data": {"a": float("nan")}},
        {"data": {"a": object()}},
        {"extensions": {"id": "2"}},
        {"time": datetime(2026, 1, 1)},  # noqa: DTZ001
    ],
)
def test_an_event_that_is_none_does_not_leave(change):
    fields = {"id": "1", "source": "/s", "type": "t", "subject": "", "data": {}}
    event = Event(**{**fields, "time": datetime(2026, 1, 1, tzinfo=UTC), **change})
    for write in (encode, to_json):
        with pytest.raises(InvalidEvent):
            write(event)
