"""The embedded engine's bare repository: what a person who pushes sees."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conveyor.data.engine import Engine
from conveyor.data.git import GitHistory
from conveyor.data.repository import RepositorySettings, create_repository
from conveyor.errors import Conflict

GOOD = "line: shop\nmodels:\n  wine: {upload: models/wine.onnx}\n"


def settings(tmp_path, **changes):
    given = {
        "branch": "main",
        "python": Path(sys.executable),
        "state_dir": tmp_path / "state",
        "url": "http://127.0.0.1:9",
    }
    return RepositorySettings(**(given | changes))


@pytest.fixture
def served(repository, tmp_path):
    """The repository as Conveyor makes it, with a clone that has a good line."""
    repository.bare = create_repository(tmp_path / "line.git", settings=settings(tmp_path))
    repository.git("remote", "set-url", "origin", str(repository.bare))
    repository.git("remote", "add", "conveyor", str(repository.bare))
    (repository.clone / "conveyor.yaml").write_text(GOOD)
    repository.commit()
    return repository


def at_remote(repository):
    command = ["git", "-C", repository.bare, "rev-parse", "-q", "--verify", "main"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return ended.stdout.strip()


class _Engine(BaseHTTPRequestHandler):
    """The two routes of the api that hooks use."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Authorization"], json.loads(body)))
        self._answer({})

    def do_GET(self):
        first = "after=0&" in self.path
        line = "wine: building" if first else "wine: gate refused: \x1b[31mf1 0.61 is below 0.80"
        self._answer({"lines": [line], "next": 1, "done": not first})

    def _answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def engine(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Engine)
    server.heard, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "state").mkdir()
    address = {"url": f"http://127.0.0.1:{server.server_port}", "token": "secret"}
    (tmp_path / "state" / "api.json").write_text(json.dumps(address))
    yield server
    server.shutdown()
    server.server_close()


def test_a_good_line_is_taken_and_the_pusher_told_that_nobody_is_there(served):
    said = served.git("push", "conveyor", "HEAD:main")
    assert "remote: the engine is not running. The push is stored" in said
    assert at_remote(served) == served.git("rev-parse", "HEAD")


def test_a_push_while_the_engine_begins_waits_for_it(served, engine, tmp_path):
    address = tmp_path / "state" / "api.json"
    hidden = address.rename(address.with_name("later"))
    address.with_name("engine.lock").write_text(str(os.getpid()))
    ready = threading.Timer(2.0, hidden.rename, (address,))
    ready.start()
    said = served.git("push", "conveyor", "HEAD:main")
    ready.join()
    assert "remote: wine: building" in said


def test_the_lock_of_an_engine_that_is_gone_keeps_nobody_waiting(tmp_path):
    with subprocess.Popen(["true"]) as gone:
        (tmp_path / "engine.lock").write_text(str(gone.pid))
    began = time.monotonic()
    Engine(state=tmp_path, url="").await_start()
    assert time.monotonic() - began < 10


def test_a_broken_line_is_refused_in_the_pushers_terminal(served):
    (served.clone / "conveyor.yaml").write_text("line: Shop\nmodels:\n  wine: {uplaod: x}\n")
    served.commit()
    said = served.git("push", "conveyor", "HEAD:main", fails=True)
    assert 'remote: conveyor.yaml:1: line: "Shop" is no name' in said
    assert "conveyor.yaml:3: models.wine.uplaod: unknown key" in said
    assert at_remote(served) == ""


def test_a_broken_line_on_another_branch_is_nobodys_business(served):
    (served.clone / "conveyor.yaml").write_text("line: [")
    served.commit()
    served.git("push", "conveyor", "HEAD:refs/heads/idea")


def test_a_cycle_in_dvc_yaml_is_refused(served):
    served.git("push", "conveyor", "HEAD:main")
    stages = "stages:\n  a: {cmd: x, deps: [b], outs: [c]}\n  b: {cmd: x, deps: [c], outs: [b]}\n"
    (served.clone / "dvc.yaml").write_text(stages)
    served.commit()
    assert "circle" in served.git("push", "conveyor", "HEAD:main", fails=True)


def test_a_file_that_the_line_needs_cannot_be_taken_away(served):
    schema = "data:\n  wine: {upload: w.csv, path: d/w.csv, schema: w.yaml}\n"
    (served.clone / "conveyor.yaml").write_text(GOOD + schema)
    (served.clone / "w.yaml").write_text("fields: [{name: a, type: number}]\n")
    served.commit()
    served.git("push", "conveyor", "HEAD:main")
    (served.clone / "w.yaml").unlink()
    served.commit()
    assert '"w.yaml" is not in the repo' in served.git("push", "conveyor", "HEAD:main", fails=True)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [("r.txt", "numpy=2\n", "write numpy==2"), ("h.csv", "a\n", '"b" is no column of h.csv')],
)
def test_a_change_inside_a_file_that_the_line_names_is_looked_at(served, file, text, message):
    train = "train: {stage: s, output: m.skops, requirements: r.txt}"
    score = "evaluate: {rows: h.csv, label: b, metric: accuracy}"
    models = f"models:\n  m:\n    {train}\n    {score}\n"
    stages = "stages:\n  s: {cmd: x, outs: [m.skops]}\n"
    files = {"conveyor.yaml": "line: shop\n" + models, "dvc.yaml": stages}
    for name, good in {**files, "r.txt": "numpy\n", "h.csv": "a,b\n"}.items():
        (served.clone / name).write_text(good)
    served.commit()
    served.git("push", "conveyor", "HEAD:main")
    (served.clone / file).write_text(text)
    served.commit()
    assert message in served.git("push", "conveyor", "HEAD:main", fails=True)


@pytest.mark.parametrize("refspec", ["+HEAD~1:main", ":main"])
def test_neither_a_forced_push_nor_a_deletion_takes_commits_away(served, refspec):
    head = served.commit(a="1")
    served.git("push", "conveyor", "HEAD:main")
    said = served.git("push", "conveyor", refspec, fails=True)
    assert "git pull --rebase conveyor main" in said or "cannot be deleted" in said
    assert at_remote(served) == head


def test_the_pusher_follows_what_becomes_of_the_push(served, engine):
    said = served.git("push", "conveyor", "HEAD:main")
    commit = served.git("rev-parse", "HEAD")
    assert "remote: wine: building" in said
    assert "wine: gate refused:  [31mf1 0.61" in said
    notice = {"ref": "refs/heads/main", "before": "", "commit": commit}
    assert engine.heard == [("/api/v1/notices/git", "Bearer secret", notice)]


def test_a_pusher_in_a_hurry_does_not_wait(served, engine):
    said = served.git("push", "-o", "no-wait", "conveyor", "HEAD:main")
    assert "is on its way" in said
    assert "gate" not in said
    assert len(engine.heard) == 1


def test_an_engine_in_trouble_does_not_make_a_push_fail(served, engine):
    engine.status = 500
    said = served.git("push", "conveyor", "HEAD:main")
    assert "the engine answered 500" in said
    assert "The push is stored" in said


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"url": "file:///etc/passwd"}'])
def test_a_broken_address_does_not_make_a_push_fail(served, tmp_path, text):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "api.json").write_text(text)
    assert "The push is stored" in served.git("push", "conveyor", "HEAD:main")


def test_what_the_engine_pushes_itself_is_neither_checked_nor_followed(
    served, engine, tmp_path, cause
):
    served.git("push", "-o", "no-wait", "conveyor", "HEAD:main")
    history = GitHistory(str(served.bare), tmp_path / "cache")
    changes = {"conveyor.yaml": b"line: ["}
    history.record(lambda _: changes, branch="main", message="x", because=cause())
    assert len(engine.heard) == 1


def test_a_python_that_is_gone_refuses_with_what_to_do(served, tmp_path):
    create_repository(served.bare, settings=settings(tmp_path, python=Path("/no/python 3")))
    said = served.git("push", "conveyor", "HEAD:main", fails=True)
    assert "/no/python 3 is gone: run `conveyor up`" in said


def test_creating_again_keeps_the_history_and_mends_the_hooks(served, tmp_path):
    served.git("push", "conveyor", "HEAD:main")
    head = at_remote(served)
    hook = served.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    create_repository(served.bare, settings=settings(tmp_path))
    served.commit(a="1")
    served.git("push", "conveyor", "HEAD:main")
    assert at_remote(served) not in {"", head}
    assert not list(hook.parent.glob("*.new"))


def test_a_place_with_something_else_in_it_is_a_conflict(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(Conflict, match="no bare Git repository"):
        create_repository(tmp_path, settings=settings(tmp_path))


def test_a_repository_that_was_being_made_when_the_engine_died_is_made(tmp_path):
    (tmp_path / "line.git" / "refs").mkdir(parents=True)
    path = create_repository(tmp_path / "line.git", settings=settings(tmp_path))
    assert (path / "HEAD").read_text() == "ref: refs/heads/main\n"
