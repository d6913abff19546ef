"""The user's clone beside the engine: what of it is believed."""

import subprocess

import pytest

from conveyor.embedded.repository import refuse_foreign_state
from conveyor.errors import Rejected


@pytest.fixture
def clone(tmp_path):
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def test_a_state_folder_that_came_with_the_repository_is_refused(clone):
    """Whoever wrote the repository would know the keys, and its hooks would run here."""
    keys = clone / ".conveyor" / "keys.json"
    keys.parent.mkdir()
    keys.write_text("{}")
    git(clone, "add", "--force", ".conveyor")
    with pytest.raises(Rejected, match=r"\.conveyor/keys\.json is committed"):
        refuse_foreign_state(clone, clone / ".conveyor")


def test_a_state_folder_that_is_a_committed_link_is_refused(clone):
    (clone / ".conveyor").symlink_to("/tmp")  # noqa: S108
    git(clone, "add", "--force", ".conveyor")
    with pytest.raises(Rejected, match="is committed"):
        refuse_foreign_state(clone, clone / ".conveyor")


def test_the_machines_own_folder_is_taken_within_a_clone_and_elsewhere(clone, tmp_path_factory):
    (clone / ".conveyor").mkdir()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    refuse_foreign_state(clone, clone / ".conveyor")
    refuse_foreign_state(clone, elsewhere / "state")
    refuse_foreign_state(elsewhere, elsewhere / ".conveyor")
