import os
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.bundle import MANIFEST, MODEL
from conveyor.domain.objects import bundle_folder, requests_folder
from conveyor.errors import NotFound, Rejected, Unavailable
from conveyor.serving.courier import ROUND, Box, Facts, Patience, Uploads, fetch

A_MOMENT = Patience(within=timedelta(seconds=5))
NO_TIME = Patience(within=timedelta(0))


class MemoryStore:
    """The bucket as a dictionary; away for the first reads."""

    def __init__(self, away=0):
        self.objects, self.away = {}, away

    @contextmanager
    def read(self, key):
        self.away -= 1
        if self.away >= 0:
            raise Unavailable("the store is away")
        if key not in self.objects:
            raise NotFound(key)
        yield iter([self.objects[key]])

    def write(self, key, body):
        if self.away > 0:
            raise Unavailable("the store is away")
        self.objects[key] = body


def facts_of(manifest):
    return Facts(model=manifest.model, sensitivity=manifest.lineage.sensitivity)


@pytest.fixture
def store(manifest):
    kept = MemoryStore()
    folder = bundle_folder(manifest.digest)
    kept.objects = {folder + MODEL: b"", folder + MANIFEST: manifest.to_json()}
    return kept


def test_a_bundle_is_fetched_and_verified(store, manifest, tmp_path):
    found = fetch(store, manifest.digest, tmp_path / "b", NO_TIME)
    assert found == facts_of(manifest)
    assert (tmp_path / "b" / MODEL).read_bytes() == b""


def test_a_store_that_is_away_at_first_is_asked_again(store, manifest, tmp_path):
    store.away = 2
    assert fetch(store, manifest.digest, tmp_path / "b", A_MOMENT) == facts_of(manifest)


def test_a_store_that_stays_away_is_unavailable(store, manifest, tmp_path):
    store.away = 1000
    with pytest.raises(Unavailable):
        fetch(store, manifest.digest, tmp_path / "b", NO_TIME)


def test_a_pod_that_is_told_to_end_waits_no_longer(store, manifest, tmp_path):
    store.away = 1000
    patience = Patience(within=timedelta(hours=1))
    patience.stopped.set()
    with pytest.raises(Unavailable):
        fetch(store, manifest.digest, tmp_path / "b", patience)


@pytest.mark.parametrize("name", [MODEL, MANIFEST])
def test_a_bundle_that_was_changed_in_the_bucket_is_rejected(store, manifest, tmp_path, name):
    key = bundle_folder(manifest.digest) + name
    store.objects[key] += b" "
    with pytest.raises(Rejected, match="sha256"):
        fetch(store, manifest.digest, tmp_path / "b", NO_TIME)


def test_a_bundle_that_is_there_and_right_needs_no_store(store, manifest, tmp_path):
    fetch(store, manifest.digest, tmp_path / "b", NO_TIME)
    store.objects.clear()
    assert fetch(store, manifest.digest, tmp_path / "b", NO_TIME) == facts_of(manifest)


def test_a_bundle_that_was_changed_on_disk_is_fetched_anew(store, manifest, tmp_path):
    fetch(store, manifest.digest, tmp_path / "b", NO_TIME)
    (tmp_path / "b" / MODEL).write_bytes(b"changed")
    fetch(store, manifest.digest, tmp_path / "b", NO_TIME)
    assert (tmp_path / "b" / MODEL).read_bytes() == b""


PUBLIC = Facts(model="wine", sensitivity="public")


@pytest.fixture
def box(tmp_path):
    (tmp_path / "samples").mkdir()
    return Box(release="r", folder=tmp_path / "samples")


def uploaded(store):
    return {
        key: body for key, body in store.objects.items() if key.startswith(requests_folder("r"))
    }


def test_new_samples_are_uploaded_once(store, box):
    uploads = Uploads(store, box, PUBLIC)
    (box.folder / "0000.json").write_bytes(b"one")
    (box.folder / "0001.part").write_bytes(b"half")
    assert uploads() == 1
    assert uploads() == 0
    assert uploaded(store) == {"_conveyor/requests/r/0000.json": b"one"}


def test_a_name_that_comes_round_again_is_uploaded_again(store, box):
    uploads = Uploads(store, box, PUBLIC)
    sample = box.folder / "0000.json"
    sample.write_bytes(b"one")
    uploads()
    sample.write_bytes(b"two")
    os.utime(sample, ns=(0, 1))
    uploads()
    assert uploaded(store) == {"_conveyor/requests/r/0000.json": b"two"}


def test_instances_that_live_shortly_do_not_keep_the_same_slots(store, box):
    (box.folder / "0000.json").write_bytes(b"one")
    Uploads(store, replace(box, offset=199), PUBLIC)()
    Uploads(store, replace(box, offset=401), PUBLIC)()
    assert [key[-9:] for key in uploaded(store)] == ["0199.json", "0001.json"]


def test_nothing_of_personal_data_leaves_the_pod(store, box):
    (box.folder / "0000.json").write_bytes(b"one")
    for sensitivity in ("personal", "", "unheard of"):
        assert Uploads(store, box, Facts(model="wine", sensitivity=sensitivity))() == 0
    assert not uploaded(store)


def test_a_round_is_bounded(store, box):
    for number in range(ROUND + 5):
        (box.folder / f"{number:04}.json").write_bytes(b"{}")
    assert Uploads(store, box, PUBLIC)() == ROUND


def test_links_and_large_files_are_not_carried(store, box, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    (box.folder / "0000.json").symlink_to(secret)
    os.link(secret, box.folder / "0001.json")
    (box.folder / "0002.json").write_bytes(b"x" * 70_000)
    os.mkfifo(box.folder / "0003.json")
    assert Uploads(store, box, PUBLIC)() == 0
    assert not uploaded(store)


def test_a_store_that_is_away_does_not_stop_the_pod(store, box):
    (box.folder / "0000.json").write_bytes(b"one")
    store.away = 1000
    assert Uploads(store, box, PUBLIC)() == 0
