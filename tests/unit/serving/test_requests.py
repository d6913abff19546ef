import pytest

from conveyor.data.memory import MemoryObjects
from conveyor.domain.objects import requests_folder
from conveyor.serving.requests import BucketRequests
from conveyor.serving.samples import MAX_SAMPLE_BYTES

RELEASE = "a" * 64


@pytest.fixture
def objects():
    return MemoryObjects()


def keep(objects, name, body):
    objects.upload(requests_folder(RELEASE) + name, body)


def test_the_newest_requests_of_a_release_come_first(objects):
    for number in (1, 0, 2):
        keep(objects, f"{number:04}.json", str(number).encode())
    objects.upload(requests_folder("b" * 64) + "0000.json", b"another's")
    assert BucketRequests(objects).sample(RELEASE, 2) == (b"2", b"0")


def test_what_no_sampler_writes_is_not_believed(objects):
    keep(objects, "notes.txt", b"no")
    keep(objects, "deeper/0000.json", b"no")
    keep(objects, "0001.json", b" " * (MAX_SAMPLE_BYTES + 1))
    keep(objects, "0000.json", b"yes")
    assert BucketRequests(objects).sample(RELEASE, 9) == (b"yes",)
