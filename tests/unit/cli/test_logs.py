import json

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
