import json

import pytest

API = "/api/v1"
RUNS = {"runs": [{"key": "a1", "kind": "train", "owner": "wine", "state": "failed", "ended": None}]}


def test_a_models_name_shows_its_newest_run_to_the_end_without_colours(engine):
    engine.answers[f"GET {API}/runs"] = RUNS
    engine.answers[f"GET {API}/runs/a1/log"] = [
        {"run": "a1", "text": "\x1b[31mone\x1b[0m\n", "next": 13, "done": False},
        {"run": "a1", "text": "two\n", "next": 17, "done": True},
    ]
    answer = engine.run("logs", "wine")
    assert (answer.exit_code, answer.output) == (0, "one\ntwo\n")
    assert engine.calls[-1][1]["after"] == ["13"]


def test_a_run_without_output_is_told_so(engine):
    engine.answers[f"GET {API}/runs"] = RUNS
    engine.answers[f"GET {API}/runs/a1/log"] = {"run": "a1", "text": "", "next": 0, "done": True}
    answer = engine.run("logs", "a1")
    assert (answer.exit_code, "no output" in answer.stderr) == (1, True)


def test_the_runs_are_listed_without_a_name(engine):
    engine.answers[f"GET {API}/runs"] = RUNS
    assert "wine" in engine.run("logs").output
    assert json.loads(engine.run("logs", "--json").output) == RUNS


BOTH = {"key": "c9", "kind": "convert", "owner": "wine", "state": "succeeded", "ended": None}
WAITING = {"name": "rose", "waits": "waits for its data: data/rose.csv", "refusal": None}


@pytest.mark.parametrize(("options", "key"), [((), "a1"), (("--convert",), "c9")])
def test_a_models_name_means_its_training_unless_its_conversion_is_asked_for(engine, options, key):
    engine.answers[f"GET {API}/runs"] = {"runs": [BOTH, *RUNS["runs"]]}
    engine.answers[f"GET {API}/runs/{key}/log"] = {"run": key, "text": "", "next": 0, "done": True}
    engine.run("logs", "wine", *options)
    assert engine.calls[-1][0] == f"GET {API}/runs/{key}/log"


def test_json_has_no_colours(engine):
    engine.answers[f"GET {API}/runs"] = RUNS
    text = "\x1b[31mone\x1b[0m\n"
    engine.answers[f"GET {API}/runs/a1/log"] = {"run": "a1", "text": text, "next": 1, "done": True}
    assert json.loads(engine.run("logs", "--run", "a1", "--json").output)["text"] == "one\n"


def test_a_model_without_a_run_says_what_it_waits_for(engine):
    engine.answers[f"GET {API}/runs"] = RUNS
    engine.answers[f"GET {API}/status"] = {"models": [WAITING]}
    answer = engine.run("logs", "rose", "--follow")
    assert (answer.exit_code, "it waits for its data: data/rose.csv" in answer.stderr) == (1, True)
