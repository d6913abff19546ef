import os

import pytest

from conveyor.domain.objects import requests_folder
from conveyor.errors import Unavailable
from conveyor.serving.samples import MAX_SAMPLE_BYTES, FolderRequests, Sampler

RELEASE = "ab" * 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / requests_folder(RELEASE)


def offer(sampler, *requests):
    for request in requests:
        sampler.offer(request)
        sampler.store()


def age(folder):
    """Make the order of the files' times certain, oldest slot first."""
    for position, path in enumerate(sorted(folder.glob("*.json"))):
        os.utime(path, ns=(position, position))


def test_the_newest_requests_come_first(tmp_path, folder):
    offer(Sampler(folder), b"1", b"2", b"3")
    age(folder)
    assert FolderRequests(tmp_path).sample(RELEASE, 2) == (b"3", b"2")


def test_a_release_without_requests_has_none(tmp_path):
    assert FolderRequests(tmp_path).sample(RELEASE, 2) == ()


def test_the_newest_push_out_the_oldest_also_after_a_restart(tmp_path, folder):
    offer(Sampler(folder, keep=2), b"1", b"2")
    age(folder)
    offer(Sampler(folder, keep=2), b"3")
    assert set(FolderRequests(tmp_path).sample(RELEASE, 9)) == {b"2", b"3"}


def test_a_request_that_is_too_large_is_left_out(tmp_path, folder):
    offer(Sampler(folder), b" " * (MAX_SAMPLE_BYTES + 1))
    assert not FolderRequests(tmp_path).sample(RELEASE, 1)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be kept"):
        offer(Sampler(tmp_path / "file" / "below"), b"1")


def link(folder, secret):
    (folder / "0001.json").symlink_to(secret)


def hard_link(folder, secret):
    os.link(secret, folder / "0001.json")


def pipe(folder, _):
    os.mkfifo(folder / "0001.json")


def flood(folder, _):
    (folder / "0001.json").write_bytes(b" " * (MAX_SAMPLE_BYTES + 1))


@pytest.mark.parametrize("plant", [link, hard_link, pipe, flood])
def test_what_a_foreign_model_plants_among_the_samples_is_not_sent(tmp_path, folder, plant):
    """A link to the engine's keys would be read by the engine and handed to the model."""
    secret = tmp_path / "keys.json"
    secret.write_text("secret")
    offer(Sampler(folder), b"1")
    plant(folder, secret)
    assert FolderRequests(tmp_path).sample(RELEASE, 9) == (b"1",)


def test_a_folder_of_samples_that_is_a_link_is_not_read(tmp_path, folder):
    elsewhere = tmp_path / "elsewhere"
    offer(Sampler(elsewhere), b"1")
    folder.parent.mkdir(parents=True)
    folder.symlink_to(elsewhere)
    assert FolderRequests(tmp_path).sample(RELEASE, 9) == ()


def test_a_foreign_file_among_the_samples_keeps_no_release_from_starting(folder):
    folder.mkdir(parents=True)
    (folder / "notes.json").write_text("{}")
    offer(Sampler(folder), b"1")
    assert (folder / "0000.json").read_bytes() == b"1"
