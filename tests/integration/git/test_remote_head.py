"""Where a branch of the remote is now, read without git where that is safe."""

import subprocess

import pytest

from conveyor.data.git import GitHistory
from conveyor.errors import NotFound


@pytest.fixture
def history(repository, tmp_path):
    return GitHistory(str(repository.bare), tmp_path / "cache")


def test_the_head_is_the_remotes_own_whether_its_ref_is_loose_packed_or_both(repository, history):
    first = repository.push(a="1")
    loose = history.head("main")
    subprocess.run(["git", "-C", repository.bare, "pack-refs", "--all"], check=True)
    packed = history.head("main")
    second = repository.push(a="2")
    assert (loose, packed, history.head("main")) == (first, first, second)


def test_a_name_that_climbs_out_of_the_remote_is_no_branch(repository, history, tmp_path):
    (tmp_path / "outside").write_text(repository.push(a="1"))
    with pytest.raises(NotFound):
        history.head("../../../outside")
