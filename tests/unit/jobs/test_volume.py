import os

import pytest

from conveyor.domain.jobs import JobSpec
from conveyor.errors import NotFound, Unavailable
from conveyor.jobs import volume
from conveyor.runs import Ending

SPEC = JobSpec(kind="train", key="k1", owner="wine", command=("true",), files={"x": b"\xff"})
ENDING = Ending(state="failed", reason="broke", log="end")


def test_what_was_laid_out_is_handed_over(tmp_path):
    volume.hand_over(tmp_path, SPEC, tmp_path / "environments/e")
    assert volume.take_over(tmp_path) == (SPEC, tmp_path / "environments/e")


def test_without_an_environment_it_is_the_images(tmp_path):
    volume.hand_over(tmp_path, SPEC, None)
    assert volume.take_over(tmp_path) == (SPEC, None)


def test_an_ending_is_read_as_it_was_written(tmp_path):
    assert not volume.has_ended(tmp_path)
    volume.write_ending(tmp_path, ENDING)
    assert volume.has_ended(tmp_path)
    assert volume.read_ending(tmp_path) == ENDING


def test_a_work_that_left_no_word_is_said(tmp_path):
    with pytest.raises(NotFound, match=r"ending\.json"):
        volume.read_ending(tmp_path)


def test_an_image_tells_what_it_was_made_with(tmp_path):
    volume.offer(tmp_path, tmp_path / "none")
    assert volume.offered(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("numpy==2\n")
    volume.offer(tmp_path, tmp_path / "requirements.txt")
    assert volume.offered(tmp_path) == "numpy==2\n"


def test_an_ending_is_never_read_through_a_link(tmp_path):
    (tmp_path / "secret").write_text('{"state": "succeeded"}')
    (tmp_path / "ending.json").symlink_to(tmp_path / "secret")
    with pytest.raises(Unavailable, match="cannot be read"):
        volume.read_ending(tmp_path)


def test_a_pipe_in_its_place_does_not_hang_the_store(tmp_path):
    os.mkfifo(tmp_path / "ending.json")
    with pytest.raises(Unavailable, match="no plain file"):
        volume.read_ending(tmp_path)
