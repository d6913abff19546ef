import json
import socket

import click
import pytest
from click.testing import CliRunner

from conveyor.cli.main import COMMANDS, Commands, cli

API = "/api/v1"
EVENT = {
    "seq": 1,
    "id": "e" * 64,
    "source": "/conveyor/shop",
    "type": "dev.conveyor.model.rejected.v1",
    "subject": "wine",
    "time": "2026-11-21T12:00:00Z",
    "stored": "2026-11-21T12:00:00Z",
    "data": {"model": "wine"},
    "extensions": {},
    "deliveries": [],
    "story": "✗ wine: gate refused: f1_macro 0.61",
}
BOARD = {
    "line": "shop",
    "branch": "main",
    "commit": "c" * 40,
    "ready": True,
    "uptime": 90.0,
    "data": [
        {
            "name": "wine",
            "upload": "wine/wine.csv",
            "version": "abcdef0123",
            "rows": 178,
            "size": 1,
            "since": "2026-11-21T12:00:00Z",
            "verdict": None,
            "refusal": None,
            "waits": "",
        }
    ],
    "models": [
        {
            "name": "wine",
            "stable": "wine@v1.0.0",
            "release": "r",
            "latest": "wine@v1.1.0",
            "metric": {"name": "f1_macro", "value": 0.9},
            "traffic": {"wine@v1.0.0": 90, "wine@v1.1.0": 10},
            "rollout": {
                "id": "x",
                "candidate": "wine@v1.1.0",
                "state": "canary",
                "paused": False,
                "step": 1,
                "steps": 2,
                "percent": 10,
                "since": "2026-11-21T12:00:00Z",
                "opened": "2026-11-21T12:00:00Z",
                "deadline": "2026-11-22T12:00:00Z",
                "reason": "",
                "waits": "",
            },
            "refusal": None,
            "retrain": None,
            "waits": "waits for requests: 16 of 50; without any, stored ones are replayed",
        }
    ],
    "jobs": [],
    "deliveries": {"events": 5, "owed": 0, "leased": 0, "dead": 1, "oldest": None},
    "ignored": [{"key": "x\x1b[31m.csv", "reason": "no", "at": "2026-11-21T12:00:00Z"}],
    "problems": ["[red]the bucket is gone[/red]"],
}
QUICK = {
    ("status",): (f"GET {API}/status", BOARD),
    ("events",): (f"GET {API}/events", {"events": [EVENT], "next": 1}),
    ("rollouts",): (f"GET {API}/rollouts", {"rollouts": []}),
    ("releases",): (f"GET {API}/releases", {"releases": []}),
    ("logs",): (f"GET {API}/runs", {"runs": []}),
    ("dead-letters",): (f"GET {API}/dead-letters", {"letters": []}),
    ("replay", "abc"): (f"POST {API}/dead-letters/abc/replay", {"event": "abc", "published": 1}),
    ("reconcile",): (f"POST {API}/reconcile", {"published": 0}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_teaches_with_an_example(name):
    command = Commands().get_command(click.Context(cli), name)
    answer = CliRunner().invoke(command, ["--help"])
    assert answer.exit_code == 0
    assert name == "demo" or f"conveyor {name}" in answer.output


def test_help_lists_every_command_and_the_exit_codes():
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(name in output for name in COMMANDS)
    assert "no engine answers" in output


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_json_is_all_that_stands_on_standard_output_and_is_what_the_api_answered(engine, arguments):
    route, told = QUICK[arguments]
    engine.answers[route] = told
    answer = engine.run(*arguments, "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == told


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_for_people_every_command_says_something_without_colour_codes(engine, arguments):
    route, told = QUICK[arguments]
    engine.answers[route] = told
    answer = engine.run(*arguments)
    assert answer.exit_code == 0
    assert answer.output.strip()
    assert "\x1b" not in answer.output


def test_the_token_goes_with_each_request(engine):
    engine.answers[f"GET {API}/status"] = BOARD
    engine.run("status")
    assert engine.calls[0][3] == "Bearer the token"


def test_the_board_reads_like_departures_and_shows_markup_as_it_is(engine):
    engine.answers[f"GET {API}/status"] = BOARD
    output = engine.run("status").output
    assert "wine@v1.1.0 canary at 10 %, step 1 of 2" in output
    assert "waits for requests: 16 of 50" in output
    assert max(map(len, output.splitlines())) <= 80
    assert "[red]the bucket is gone[/red]" in output
    assert "1 dead letters: conveyor dead-letters" in output


def test_where_nothing_listens_the_exit_code_is_3_and_the_remedy_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        named = ["--url", f"http://127.0.0.1:{port}", "--token", "x"]
        answer = CliRunner().invoke(cli, ["status", *named])
    assert answer.exit_code == 3
    assert "conveyor up" in answer.stderr
    assert not answer.stdout


@pytest.mark.parametrize(("kind", "status"), [("NotFound", 404), ("Unauthorized", 401), ("X", 418)])
def test_what_the_engine_refuses_is_exit_code_1_with_its_words(engine, kind, status):
    engine.answers[f"GET {API}/status"] = (status, {"error": "no such thing", "kind": kind})
    answer = engine.run("status", "--json")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == "error: no such thing\n"


def test_an_answer_that_is_not_json_is_no_traceback(engine):
    engine.answers[f"GET {API}/status"] = (200, b"<html>")
    answer = engine.run("status")
    assert answer.exit_code == 1
    assert "no engine of Conveyor" in answer.stderr


def test_wrong_usage_is_exit_code_2(engine):
    assert engine.run("put").exit_code == 2
    assert engine.run("events", "--type", "nonsense").exit_code == 2
    assert engine.run("nonsense").exit_code == 2


def test_events_leave_ticks_and_traffic_out_unless_asked(engine):
    engine.answers[f"GET {API}/events"] = {"events": [EVENT], "next": 1}
    engine.run("events")
    engine.run("events", "--all")
    asked, everything = (call[1].get("type", []) for call in engine.calls)
    assert "dev.conveyor.inference.observed.v1" not in asked
    assert "dev.conveyor.model.rejected.v1" in asked
    assert everything == []


def test_a_story_with_control_characters_cannot_steer_the_terminal(engine):
    event = EVENT | {"story": "✗ \x1b]0;owned\x07wine\r\nfake line"}
    engine.answers[f"GET {API}/events"] = {"events": [event], "next": 1}
    output = engine.run("events").output
    assert not {"\x1b", "\x07", "\r"} & set(output)
    assert output.count("\n") == 1


def test_a_trace_shows_causes_and_effects_as_trees(engine):
    nodes = [
        EVENT | {"seq": 1, "direction": "up", "causes": [], "story": "→ the upload"},
        EVENT | {"seq": 2, "direction": "here", "causes": [1], "story": "★ the release"},
        EVENT | {"seq": 3, "direction": "down", "causes": [2], "story": "✔ the promotion"},
    ]
    report = {
        "kind": "tag",
        "value": "wine@v1.0.0",
        "facts": {"commit": ["c" * 40]},
        "truncated": False,
        "events": nodes,
    }
    engine.answers[f"GET {API}/trace/wine@v1.0.0"] = report
    output = engine.run("trace", "wine@v1.0.0").output
    came, led = output.split("it led to")
    assert came.index("the release") < came.index("the upload")
    assert "the promotion" in led
    assert "the release" not in led
    assert json.loads(engine.run("trace", "wine@v1.0.0", "--json").output) == report


def test_a_first_refusal_is_on_the_board_with_its_stage(engine):
    refusal = {"at": "2026-11-21T12:00:00Z", "stage": "build", "reasons": ["it raised"]}
    row = BOARD["models"][0] | {"stable": None, "rollout": None, "waits": "", "refusal": refusal}
    engine.answers[f"GET {API}/status"] = BOARD | {"models": [row | {"traffic": {}}]}
    output = " ".join(engine.run("status").output.split())
    assert "last candidate refused at build" in output
    assert "it raised" in output


def test_releases_say_which_was_stable_and_which_is(engine):
    known = {"release": "r" * 64, "onnx": "o" * 64, "commit": "c" * 40}
    engine.answers[f"GET {API}/releases"] = {
        "releases": [
            known | {"tag": "wine@v1.1.0", "stable": True, "ended": ["stable"]},
            known | {"tag": "wine@v1.0.0", "stable": False, "ended": ["stable", "stable"]},
        ]
    }
    newest, former = engine.run("releases").output.splitlines()[-2:]
    assert "stable now" in newest
    assert former.count("was stable") == 1


def test_a_rollout_is_headed_by_its_releases_tag(engine):
    rollout = {
        "model": "wine",
        "candidate": "d" * 64,
        "tag": "wine@v1.1.0",
        "state": "canary",
        "paused": False,
        "opened": "2026-11-21T12:00:00Z",
        "waits": "",
        "decisions": [],
    }
    engine.answers[f"GET {API}/rollouts"] = {"rollouts": [rollout]}
    assert engine.run("rollouts").output.startswith("wine@v1.1.0 canary, opened")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell):
    answer = CliRunner().invoke(cli, ["completion", shell])
    assert answer.exit_code == 0
    assert "_CONVEYOR_COMPLETE" in answer.output
