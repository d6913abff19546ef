"""From what is in the bucket to events: complete uploads once each, a sentence on all else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.domain.line import Complete, Dataset, Line, Model
from conveyor.errors import NotFound
from conveyor.eventing.sources.bucket import (
    MAX_IGNORED,
    Look,
    look,
    look_at,
    may_complete,
    upload_event,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REVIEWS = Dataset(name="reviews", upload="reviews/", path="data/reviews")


def line_of(complete=None):
    data = (
        Dataset(name="wine", upload="wine/wine.csv", path="data/wine.csv"),
        replace(REVIEWS, complete=complete),
    )
    models = {"sentiment": Model(name="sentiment", upload="models/sentiment.onnx")}
    return Line(name="shop", data={dataset.name: dataset for dataset in data}, models=models)


LINE = line_of()


@pytest.fixture
def objects():
    return MemoryObjects(versioned=False)


def at(objects, line=LINE, now=NOW, **options):
    return look(objects, line, commit="c" * 40, now=now, **options)


def test_an_upload_becomes_one_event_with_the_same_id_at_each_look(objects):
    ref = objects.upload("wine/wine.csv", b"x")
    (event,) = at(objects).events
    assert at(objects, now=NOW + SECOND).events == (event,)
    assert upload_event(ref, LINE, "c" * 40) == event
    assert event.data == {
        "dataset": "wine",
        "bucket": "bucket",
        "key": "wine/wine.csv",
        "version": "",
        "etag": ref.etag,
        "size": 1,
        "modified": "2026-01-01T00:00:01Z",
        "commit": "c" * 40,
    }
    assert (event.time, event.extensions["line"]) == (ref.modified, "shop")


def test_the_same_bytes_uploaded_again_are_another_upload(objects):
    ids = set()
    for _ in range(2):
        objects.upload("wine/wine.csv", b"x")
        ids.add(at(objects).events[0].id)
    assert len(ids) == 2


def test_a_ready_made_model_has_its_own_event(objects):
    objects.upload("models/sentiment.onnx", b"x")
    (event,) = at(objects).events
    assert (event.type, event.subject) == ("dev.conveyor.model.uploaded.v1", "sentiment")


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("wine/wines.csv", "meant to be 'wine/wine.csv'"),
        ("other.txt", "write `upload: other.txt` under a name"),
        ("../etc/passwd", "rename it"),
    ],
)
def test_a_key_that_nobody_takes_is_told_with_what_to_do(objects, key, says):
    ref = objects.upload("x", b"x")
    objects.stored = {key: [(replace(ref, key=key), b"x")]}
    objects.head = lambda key: objects.stored[key][0][0]
    found = at(objects)
    assert found.events == ()
    assert says in found.ignored[key]
    with pytest.raises(NotFound, match=r"rename it|conveyor\.yaml"):
        upload_event(replace(ref, key=key), LINE, "c")


def test_a_name_spelled_with_other_characters_is_told(objects):
    line = Line(name="shop", data={"e": Dataset(name="e", upload="\u00e9.csv", path="e.csv")})
    objects.upload("e\u0301.csv", b"x")
    assert "spelled with other characters" in at(objects, line).ignored["e\u0301.csv"]


def test_a_file_counts_once_it_is_unchanged_for_the_settle_time(objects):
    objects.upload("wine/wine.csv", b"half", modified=NOW)
    first = at(objects, now=NOW + SECOND / 2)
    assert (first.events, first.waiting) == ((), ("wine/wine.csv: still being written",))
    assert len(at(objects, now=NOW + SECOND, previous=first.seen).events) == 1


def test_a_file_from_the_future_counts_by_our_own_clock(objects):
    objects.upload("wine/wine.csv", b"x", modified=NOW + timedelta(days=1))
    first = at(objects)
    assert first.events == ()
    assert at(objects, previous=first.seen).events == ()
    assert len(at(objects, now=NOW + SECOND, previous=first.seen).events) == 1


def test_a_directory_is_one_event_of_all_its_files(objects):
    objects.upload("reviews/b.csv", b"22")
    newest = objects.upload("reviews/a.csv", b"1")
    (event,) = at(objects).events
    assert (event.data["key"], event.data["size"]) == ("reviews/", 3)
    assert event.time == newest.modified
    objects.upload("reviews/c.csv", b"")
    assert at(objects).events[0].id != event.id


def test_a_directory_with_a_marker_waits_for_it_and_for_it_to_be_the_last(objects):
    line = line_of(Complete(marker="_SUCCESS"))
    objects.upload("reviews/a.csv", b"1")
    assert at(objects, line).waiting == ("reviews/: waits for its marker _SUCCESS",)
    objects.upload("reviews/_SUCCESS", b"")
    assert len(at(objects, line).events) == 1
    objects.upload("reviews/a.csv", b"2")
    assert "a.csv is newer than _SUCCESS" in at(objects, line).waiting[0]


def test_a_directory_with_a_manifest_waits_for_all_it_names(objects):
    line = line_of(Complete(manifest="files.txt"))
    objects.upload("reviews/a.csv", b"1")
    assert "waits for its manifest" in at(objects, line).waiting[0]
    objects.upload("reviews/files.txt", b"a.csv\nb/c.csv\n\n")
    assert "waits for 'b/c.csv'" in at(objects, line).waiting[0]
    objects.upload("reviews/b/c.csv", b"1")
    assert len(at(objects, line).events) == 1
    objects.upload("reviews/files.txt", b"\xff")
    assert "cannot be read" in at(objects, line).waiting[0]


def test_a_directory_with_neither_counts_after_a_quiet_time(objects):
    line = line_of(Complete(quiet=timedelta(minutes=1)))
    objects.upload("reviews/a.csv", b"1", modified=NOW)
    assert at(objects, line, now=NOW + 59 * SECOND).events == ()
    first = at(objects, line, now=NOW + 60 * SECOND)
    assert len(first.events) == 1
    objects.upload("reviews/b.csv", b"1", modified=NOW)
    objects.delete("reviews/a.csv")
    later = NOW + 90 * SECOND
    assert (
        "nothing changed for 60 s" in at(objects, line, now=later, previous=first.seen).waiting[0]
    )


def test_only_what_is_below_the_prefix_is_looked_at(objects):
    objects.upload("wine/wine.csv", b"1")
    objects.upload("other", b"1")
    found = at(objects, prefix="wine/")
    assert (len(found.events), found.ignored) == (1, {})


def test_empty_folders_that_a_console_shows_are_nothing(objects):
    ref = objects.upload("reviews", b"")
    objects.stored = {"reviews/": [(replace(ref, key="reviews/"), b"")]}
    objects.head = lambda key: objects.stored[key][0][0]
    assert (at(objects).events, at(objects).ignored) == ((), {})


class Asked(MemoryObjects):
    """A bucket that notes what it is asked for."""

    asked: tuple[str, ...] = ()

    def list(self, prefix=""):
        for ref in super().list(prefix):
            self.asked += (f"{prefix}: {ref.key}",)
            yield ref


def at_key(objects, key, line=LINE, **options):
    return look_at(objects, line, key, commit="c" * 40, now=NOW, **options)


def test_a_look_at_one_key_lists_that_object_alone_and_gives_the_same_event():
    objects = Asked()
    for key in ("wine/wine.csv", "wine/wine.csv.bak", "wine/wine.csv/x", "wine/wine"):
        objects.upload(key, b"x")
    found = at_key(objects, "wine/wine.csv")
    assert objects.asked == ("wine/wine.csv: wine/wine.csv",)
    assert found.events == at(objects).events


@pytest.mark.parametrize("key", ["wine/wine.csv.bak", "wine/wine", "wine/", "", "../x", "x\0"])
def test_a_key_that_nobody_takes_is_not_asked_for(key):
    objects = Asked()
    assert at_key(objects, key) == Look()
    assert objects.asked == ()


def test_a_key_that_is_gone_again_is_nothing_though_others_begin_with_it(objects):
    objects.upload("wine/wine.csv.bak", b"x")
    assert at_key(objects, "wine/wine.csv") == Look()


def test_a_key_in_a_directory_looks_at_the_whole_directory_and_at_nothing_else():
    line = line_of(Complete(marker="_SUCCESS"))
    objects = Asked()
    objects.upload("reviews/a.csv", b"1")
    objects.upload("reviews-old/a.csv", b"1")
    assert at_key(objects, "reviews/a.csv", line).events == ()
    objects.upload("reviews/_SUCCESS", b"")
    (event,) = at_key(objects, "reviews/_SUCCESS", line).events
    assert {asked.split(":")[0] for asked in objects.asked} == {"reviews/"}
    assert (event,) == at(objects, line).events


def test_without_a_settle_time_what_appears_counts_at_once_by_whatever_clock(objects):
    """The endpoint's clock may be ahead, and ours may be set back between two looks."""
    objects.upload("wine/wine.csv", b"x", modified=NOW + timedelta(days=1))
    first = at(objects, settle=timedelta(0))
    earlier = at(objects, now=NOW - SECOND, previous=first.seen, settle=timedelta(0))
    assert first.events == earlier.events != ()


def test_of_many_keys_that_nobody_takes_the_newest_are_told(objects):
    for number in range(MAX_IGNORED + 5):
        objects.upload(f"other/{999 - number}", b"x")
    ignored = at(objects).ignored
    assert len(ignored) == MAX_IGNORED
    assert {"other/999", "other/995"}.isdisjoint(ignored)


@pytest.mark.parametrize(
    ("key", "complete", "may"),
    [
        ("wine/wine.csv", None, True),
        ("models/sentiment.onnx", None, True),
        ("wine/wine.csv.bak", None, False),
        ("reviews/_SUCCESS", Complete(marker="_SUCCESS"), True),
        ("reviews/a/_SUCCESS", Complete(marker="_SUCCESS"), False),
        ("reviews/files.txt", Complete(manifest="files.txt"), True),
        ("reviews/a.csv", Complete(marker="_SUCCESS"), False),
        ("reviews/a.csv", Complete(quiet=SECOND), False),
    ],
)
def test_a_file_a_marker_or_a_manifest_may_complete_an_upload(key, complete, may):
    assert may_complete(line_of(complete), key) is may
