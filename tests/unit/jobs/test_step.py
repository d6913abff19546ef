import threading

import pytest

from conveyor.errors import NotFound, Superseded, Unavailable
from conveyor.jobs.container import killed_for_memory
from conveyor.jobs.step import exit_code, insist
from conveyor.runs import AGAIN, DEFECT, INTERRUPTED


def failing(error):
    def step():
        raise error

    return step


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("away"), AGAIN),
        (OSError(28, "full"), AGAIN),
        (Superseded("stopped"), INTERRUPTED),
        (NotFound("gone"), DEFECT),
    ],
)
def test_the_exit_code_says_what_is_to_be_done(error, code):
    assert exit_code(failing(error)) == code


def test_what_was_away_is_the_last_word(caplog):
    exit_code(failing(Unavailable("https://git/x cannot be fetched: denied")))
    assert caplog.messages == ["https://git/x cannot be fetched: denied"]


def test_a_step_that_was_done_ends_with_0():
    assert exit_code(lambda: None) == 0


def test_what_is_away_is_waited_for():
    answers = iter([Unavailable("away"), "here"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert insist(ask, threading.Event(), what="it") == "here"


def test_what_stays_away_is_waited_for_in_bounds():
    with pytest.raises(Unavailable, match="denied"):
        insist(failing(Unavailable("denied")), threading.Event(), what="it", within=0.2)


def test_waiting_ends_when_it_is_stopped():
    stop = threading.Event()
    stop.set()
    with pytest.raises(Superseded, match="it was stopped"):
        insist(failing(Unavailable("away")), stop, what="it")


@pytest.mark.parametrize("file", ["memory.events", "memory/memory.oom_control"])
@pytest.mark.parametrize(("count", "killed"), [(0, False), (1, True), (12, True)])
def test_a_kill_for_memory_is_seen_in_either_version_of_control_groups(
    tmp_path, file, count, killed
):
    (tmp_path / "memory").mkdir()
    (tmp_path / file).write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {count}\n")
    assert killed_for_memory(tmp_path) is killed


def test_without_a_control_group_nothing_is_known(tmp_path):
    assert killed_for_memory(tmp_path) is False
