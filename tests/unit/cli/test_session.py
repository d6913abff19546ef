import json
import os

import pytest

from conveyor.cli import session
from conveyor.cli.client import Client, NotReachable
from conveyor.cli.session import connect, line_folder
from conveyor.errors import Rejected


@pytest.fixture
def line(tmp_path):
    (tmp_path / "conveyor.yaml").write_text("line: shop\n")
    (tmp_path / ".conveyor").mkdir()
    return tmp_path


def address(line, text):
    (line / ".conveyor" / "api.json").write_text(text)


def test_the_engine_is_found_from_a_folder_below_the_line(line):
    address(line, json.dumps({"url": "http://127.0.0.1:1", "token": "t"}))
    below = line / "a" / "b"
    below.mkdir(parents=True)
    assert connect(None, None, start=below).url == "http://127.0.0.1:1"


def test_a_named_engine_wins(line):
    address(line, json.dumps({"url": "http://127.0.0.1:1", "token": "t"}))
    assert connect("http://127.0.0.1:2", None, start=line).url == "http://127.0.0.1:2"


def test_outside_a_line_there_is_nothing_to_wait_for(tmp_path):
    with pytest.raises(NotReachable, match="conveyor up"):
        connect(None, None, start=tmp_path)


def test_a_broken_address_is_refused_with_its_file(line):
    address(line, "{")
    with pytest.raises(Rejected, match=r"api\.json"):
        connect(None, None, start=line)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:7070", ""])
def test_only_http_addresses_are_called(url):
    with pytest.raises(Rejected, match="http"):
        Client(url)


def test_the_process_that_holds_the_state_folder_counts_as_starting(line):
    lock = line / ".conveyor" / "engine.lock"
    assert not session._is_starting(line)
    lock.write_text(str(os.getpid()))
    assert session._is_starting(line)
    lock.write_text("")
    assert not session._is_starting(line)


def test_the_nearest_folder_with_the_file_is_the_lines(line):
    (line / "sub").mkdir()
    assert line_folder(line / "sub") == line
