import json
import stat

import pytest

from conveyor.embedded.state import TOKEN, StateFolder
from conveyor.errors import Conflict


def test_a_state_folder_in_use_names_its_holder(tmp_path):
    StateFolder(tmp_path / "state")
    with pytest.raises(Conflict, match=r"process \d+"):
        StateFolder(tmp_path / "state")


def test_a_released_folder_can_be_taken_again(tmp_path):
    StateFolder(tmp_path).release()
    StateFolder(tmp_path).release()


def test_secrets_stay_the_same_over_restarts_and_are_for_the_owner_alone(tmp_path):
    state = StateFolder(tmp_path / "state")
    made = state.secrets()
    state.release()
    assert StateFolder(tmp_path / "state").secrets() == made
    assert len(set(made.values())) == 3
    assert len(made[TOKEN]) >= 32
    assert stat.S_IMODE((tmp_path / "state" / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_released_folder_says_that_no_engine_answers(tmp_path):
    state = StateFolder(tmp_path)
    state.write_private("api.json", json.dumps({"url": "http://x"}))
    state.release()
    assert not (tmp_path / "api.json").exists()


def test_the_address_that_a_killed_engine_left_is_forgotten(tmp_path):
    (tmp_path / "api.json").write_text(json.dumps({"url": "http://x"}))
    StateFolder(tmp_path)
    assert not (tmp_path / "api.json").exists()
