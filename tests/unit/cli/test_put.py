import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conveyor.cli.main import cli

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


def test_the_only_upload_there_is_takes_a_file_of_another_name(engine, tmp_path, file):
    engine.answers[f"PUT {API}/objects/wine/wine.csv"] = (201, STORED)
    assert engine.run("put", str(file.rename(tmp_path / "other.csv"))).exit_code == 0


def test_where_several_uploads_fit_the_key_is_asked_for(engine, tmp_path, file):
    line = tmp_path / "conveyor.yaml"
    line.write_text(f"{line.read_text()}  rose: {{upload: rose.csv, path: data/rose.csv}}\n")
    answer = engine.run("put", str(file.rename(tmp_path / "other.csv")))
    assert answer.exit_code == 1
    assert "wine/wine.csv, rose.csv" in answer.stderr
    assert not engine.calls


def test_without_an_engine_it_says_where_the_file_may_be_copied_to(file):
    nowhere = ["--url", "http://127.0.0.1:1", "--token", "x"]
    answer = CliRunner().invoke(cli, ["put", str(file), *nowhere])
    assert answer.exit_code == 3
    assert str(Path("bucket/wine/wine.csv")) in answer.stderr


def test_a_member_that_waits_for_its_marker_is_no_failure(engine, file):
    waits = "waits for parts/_SUCCESS, which is to be put last"
    told = {**STORED, "key": "parts/a", "taker": "parts", "waits": waits}
    engine.answers[f"PUT {API}/objects/parts/a"] = (201, told)
    answer = engine.run("put", str(file), "parts/a", "--wait")
    assert (answer.exit_code, waits in answer.output) == (0, True)


@pytest.mark.parametrize("own", [True, False])
def test_a_folder_is_put_file_by_file_and_its_marker_last(engine, tmp_path, own):
    folder = tmp_path / "reviews"
    (folder / "z").mkdir(parents=True)
    for name in ["b.csv", "z/a.csv", ".hidden", *(["_SUCCESS"] if own else [])]:
        (folder / name).write_text("x")
    engine.answers[f"GET {API}/status"] = {"data": [{"upload": "reviews/", "marker": "_SUCCESS"}]}
    for name in ("b.csv", "z/a.csv", "_SUCCESS"):
        told = {**STORED, "key": f"reviews/{name}", "taker": "reviews", "waits": ""}
        engine.answers[f"PUT {API}/objects/reviews/{name}"] = (201, told)
    assert engine.run("put", str(folder), "reviews/").exit_code == 0
    sent = [call[0].rpartition("/reviews/")[2] for call in engine.calls[1:]]
    assert sent == ["b.csv", "z/a.csv", "_SUCCESS"]
    assert engine.calls[-1][2] == (b"x" if own else b"")


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
