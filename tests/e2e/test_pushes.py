"""Pushes to the line's repository: what is refused, what is overtaken, what the pusher reads."""

import threading

import pytest

CYCLE = """stages:
  a: {cmd: "true", deps: [y], outs: [x]}
  b: {cmd: "true", deps: [x], outs: [y]}
"""


def head(line):
    return line.git("ls-remote", "conveyor", "main").stdout.split()[0]


def test_a_broken_line_is_refused_in_the_terminal_and_the_engine_goes_on(line, start):
    """Neither broken YAML nor a cycle reaches the branch."""
    up = start().up()
    before = head(line)
    whole = (line.folder / "conveyor.yaml").read_text()
    for name, text, says in (
        ("conveyor.yaml", "line: [shop\n", "conveyor.yaml"),
        ("dvc.yaml", CYCLE, "go in a circle"),
        ("conveyor.yaml", whole.replace("rmse", "rsme"), "rmse"),
    ):
        line.commit(**{name: text})
        pushed = line.push()
        assert pushed.returncode != 0
        assert says in pushed.stderr
        line.git("reset", "-q", "--hard", "HEAD~1")
    assert head(line) == before
    line.params(shift=0.5)
    assert line.push().returncode == 0
    up.event("source.pushed", number=2)


def test_of_two_pushes_at_once_one_lands_and_the_other_is_told_what_to_do(line, start, tmp_path):
    up = start().up()
    other = type(line)(tmp_path / "other")
    line.git("clone", "-q", "-o", "conveyor", str(line.repository), str(other.folder))
    line.commit(**{"README.md": "one"})
    other.commit(**{"NOTES.md": "two"})
    results = {}

    def push(who):
        results[who] = who.git("push", "-o", "no-wait", "conveyor", "main", check=False)

    threads = [threading.Thread(target=push, args=(who,)) for who in (line, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (loser,) = [who for who, pushed in results.items() if pushed.returncode]
    assert any(word in results[loser].stderr for word in ("rejected", "fetch first", "rebase"))
    assert loser.push().returncode == 0
    names = loser.git("ls-tree", "--name-only", head(loser)).stdout.split()
    assert {"README.md", "NOTES.md"} <= set(names)
    up.event("source.pushed", commit=head(line))


def test_a_push_that_builds_on_an_older_head_is_told_to_rebase(line, start):
    start().up()
    line.commit(**{"README.md": "one"})
    line.push()
    line.git("reset", "-q", "--hard", "HEAD~1")
    line.commit(**{"README.md": "another"})
    refused = line.git("push", "--force", "-o", "no-wait", "conveyor", "main", check=False)
    assert refused.returncode != 0
    assert "Run git pull --rebase conveyor main" in refused.stderr


@pytest.mark.slow
def test_of_the_pushes_while_a_build_runs_the_newest_is_built(line, start):
    """The running build ends, the waiting one gives way, one release comes of the last."""
    line.params(act="long pause")
    up = start().up()
    line.points()
    up.until(lambda: line.trainings or up.stats, "a training")
    up.event("dataset.versioned")
    for shift in (0.2, 0.4):
        line.params(shift=shift)
        assert line.push().returncode == 0
    up.event("rollout.promoted")
    up.settled()
    assert up.infer(3.0).json()["outputs"][0]["data"] == [pytest.approx(7.4)]
    assert line.tags == ["slope#stable#1", "slope@v1.0.0"]
    assert len(line.trainings) == 2


@pytest.mark.slow
def test_the_pusher_reads_why_a_training_failed(line, start):
    up = start().up()
    line.points()
    up.event("rollout.promoted")
    line.params(act="raise")
    line.git("pull", "-q", "--rebase", "conveyor", "main")
    told = line.git("push", "conveyor", "main").stderr
    assert "no line fits these points" in told
    assert up.infer(3.0).json()["outputs"][0]["data"] == [7.0]
