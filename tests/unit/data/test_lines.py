"""The line at a commit."""

import pytest

from conveyor.data.lines import GitLines
from conveyor.data.memory_history import MemoryHistory, MemoryLines
from conveyor.domain.line import Line
from conveyor.errors import InvalidLine, NotFound


@pytest.fixture
def history():
    return MemoryHistory()


def test_each_commit_has_its_own_line(history):
    commits = [history.push({"conveyor.yaml": f"line: {n}\n".encode()}) for n in ("a", "b")]
    lines = GitLines(history)
    assert [lines.at(commit).name for commit in commits] == ["a", "b"]


def test_a_line_is_read_once_and_only_so_many_are_kept(history):
    commits = [history.push({"conveyor.yaml": f"line: a{n}\n".encode()}) for n in range(4)]
    lines = GitLines(history, capacity=2)
    kept = [lines.at(commit) for commit in commits]
    assert lines.at(commits[3]) is kept[3]
    assert lines.at(commits[0]) is not kept[0]


def test_a_broken_line_says_what_is_wrong_each_time(history):
    commit = history.push({"conveyor.yaml": b"line: A\n"})
    lines = GitLines(history)
    for _ in range(2):
        with pytest.raises(InvalidLine, match=r"conveyor\.yaml:1: line"):
            lines.at(commit)


def test_a_commit_or_line_that_is_not_there_is_not_found(history):
    with pytest.raises(NotFound):
        GitLines(history).at("0" * 40)
    with pytest.raises(NotFound, match=r"conveyor\.yaml"):
        GitLines(history).at(history.push({"a": b""}))


def test_the_twin_gives_the_same_line_unless_told_otherwise():
    lines = MemoryLines(Line(name="a"), {"c": Line(name="b")})
    assert (lines.at("x").name, lines.at("c").name) == ("a", "b")
