import json

import pytest

API = "/api/v1"
STORED = {"key": "wine/wine.csv", "size": 4, "after": 7, "taker": "wine"}
UPLOADED = {"id": "u" * 64, "data": {"key": "wine/wine.csv"}}


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "conveyor.yaml").write_text(
        "line: shop\ndata:\n  wine: {upload: wine/wine.csv, path: data/wine.csv}\n"
    )
    made = tmp_path / "wine.csv"
    made.write_bytes(b"a,b\n")
    monkeypatch.chdir(tmp_path)
    return made


def story(engine, *answers):
    engine.answers[f"PUT {API}/objects/wine/wine.csv"] = (201, STORED)
    engine.answers[f"GET {API}/events"] = [
        {"events": [], "next": 8},
        {"events": [UPLOADED], "next": 9},
    ]
    engine.answers[f"GET {API}/follow/{'u' * 64}"] = [
        {"lines": lines, "next": at, "done": at == len(answers) - 1, "failed": failed}
        for at, (lines, failed) in enumerate(answers)
    ]


def test_the_key_is_guessed_from_the_line_and_the_bytes_are_sent(engine, file):
    engine.answers[f"PUT {API}/objects/wine/wine.csv"] = (201, STORED)
    answer = engine.run("put", str(file))
    assert answer.exit_code == 0
    assert engine.calls[0][2] == b"a,b\n"
    assert "stored as wine/wine.csv, for wine" in answer.output


def test_a_name_that_fits_no_upload_asks_for_the_key(engine, tmp_path, file):
    other = file.rename(tmp_path / "other.csv")
    answer = engine.run("put", str(other))
    assert answer.exit_code == 1
    assert "wine/wine.csv" in answer.stderr
    assert not engine.calls


@pytest.mark.parametrize("key", ["a/../b", "_conveyor/x", "a//b"])
def test_an_unsafe_key_is_refused_before_a_url_is_made_of_it(engine, file, key):
    assert engine.run("put", str(file), key).exit_code == 1
    assert not engine.calls


def test_waiting_tells_the_story_to_its_end(engine, file):
    story(engine, (["wine: trained"], False), (["wine: released wine@v1.0.0"], False))
    answer = engine.run("put", str(file), "--wait")
    assert answer.exit_code == 0
    assert answer.output.splitlines()[1:] == ["wine: trained", "wine: released wine@v1.0.0"]


def test_waiting_ends_with_1_where_something_was_refused(engine, file):
    story(engine, (["wine: refused: no rows"], True))
    answer = engine.run("put", str(file), "--wait", "--json")
    assert answer.exit_code == 1
    told = json.loads(answer.stdout)
    assert (told["failed"], told["lines"]) == (True, ["wine: refused: no rows"])


def test_waiting_longer_than_the_timeout_is_exit_code_4(engine, file):
    engine.answers[f"PUT {API}/objects/wine/wine.csv"] = (201, STORED)
    engine.answers[f"GET {API}/events"] = {"events": [], "next": 8}
    assert engine.run("put", str(file), "--wait", "--timeout", "1").exit_code == 4


def test_what_nobody_takes_is_stored_but_said_to_be_of_no_use(engine, file):
    told = {**STORED, "key": "x.csv", "taker": None}
    engine.answers[f"PUT {API}/objects/x.csv"] = (201, told)
    answer = engine.run("put", str(file), "x.csv")
    assert answer.exit_code == 1
    assert "upload: x.csv" in answer.stderr
