import json

import pytest

API = "/api/v1"
ASKED = {"event": "q" * 64, "command": "c"}


def judged(engine, state, *answers, reason=""):
    request = {"id": "q" * 64, "deliveries": [{"state": state, "reason": reason}], "story": "asks"}
    engine.answers[f"GET {API}/events"] = {"events": [request, *answers], "next": 1}


@pytest.mark.parametrize("action", ["promote", "pause", "resume", "abort", "rollback"])
def test_a_command_is_sent_with_a_name_and_the_judges_answer_is_told(engine, action):
    engine.answers[f"POST {API}/rollouts/wine/{action}"] = (202, ASKED)
    judged(engine, "done", {"id": "a", "story": "✔ wine: it is so"})
    answer = engine.run("rollouts", action, "wine", "--by", "anna", "--reason", "why not")
    assert (answer.exit_code, answer.output) == (0, "✔ wine: it is so\n")
    assert json.loads(engine.calls[0][2]) == {"by": "anna", "reason": "why not"}


def test_going_back_names_the_release(engine):
    engine.answers[f"POST {API}/rollouts/wine/rollback"] = (202, ASKED)
    judged(engine, "done")
    engine.run("rollouts", "rollback", "wine", "--to", "v1.0.0", "--by", "anna", "--json")
    assert json.loads(engine.calls[0][2])["release"] == "v1.0.0"


def test_what_the_judge_refuses_is_exit_code_1_with_its_words(engine):
    engine.answers[f"POST {API}/rollouts/wine/pause"] = (202, ASKED)
    judged(engine, "dead", reason="it is paused already")
    answer = engine.run("rollouts", "pause", "wine")
    assert (answer.exit_code, answer.stderr) == (1, "error: it is paused already\n")


def test_a_judge_that_does_not_answer_is_exit_code_4(engine):
    engine.answers[f"POST {API}/rollouts/wine/pause"] = (202, ASKED)
    judged(engine, "owed")
    assert engine.run("rollouts", "pause", "wine", "--timeout", "0.2").exit_code == 4


def test_a_models_name_lists_its_rollouts(engine):
    rollout = {
        "id": "x",
        "model": "wine",
        "candidate": "a" * 64,
        "state": "canary",
        "paused": False,
        "opened": "2026-11-21T12:00:00Z",
        "waits": "waits for more",
        "decisions": [
            {
                "at": "2026-11-21T12:00:00Z",
                "by": "judge",
                "outcome": "advance",
                "reason": "[b]fine[/b]",
            }
        ],
    }
    engine.answers[f"GET {API}/rollouts"] = {"rollouts": [rollout]}
    output = engine.run("rollouts", "wine").output
    assert engine.calls[0][1] == {"model": ["wine"]}
    assert "waits for more" in output
    assert "[b]fine[/b]" in output
