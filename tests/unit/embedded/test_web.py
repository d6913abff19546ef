"""The port itself, over real sockets: what it takes from whom."""

import json
import socket
import threading
import time
from contextlib import closing

import pytest

from conveyor.codec import MAX_BATCH_BYTES
from conveyor.embedded.gate import Gate
from conveyor.web import PACE, WebServer

TOKEN = "a token that only tests know"  # noqa: S105


def echo(environ, start):
    """Answer with the number of bytes that came."""
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(len(body)).encode()]


@pytest.fixture
def server():
    web = WebServer("127.0.0.1", 0, Gate(TOKEN), idle=1)
    web.serve(echo)
    yield web
    web.stop()


@pytest.fixture
def line(server):
    """A connection to the port."""
    with closing(socket.create_connection(("127.0.0.1", int(server.url.split(":")[-1])))) as made:
        made.settimeout(10)
        yield made


def head(path, *fields):
    return "\r\n".join([f"PUT {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def answer(line):
    """Read until the other side closes; return status and body."""
    got = b""
    while chunk := line.recv(2**16):
        got += chunk
    first, _, body = got.partition(b"\r\n\r\n")
    return int(first.split()[1]), body


def trickle(line, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        line.sendall(b"x")
        time.sleep(0.1)


def test_a_large_body_without_the_token_is_refused_by_its_head(line):
    line.sendall(head("/api/v1/objects/x", f"Content-Length: {MAX_BATCH_BYTES + 1}"))
    status, body = answer(line)
    assert status == 401
    assert "needs the token" in json.loads(body)["error"]


def test_who_expects_100_is_refused_before_any_body(line):
    line.sendall(head("/x", f"Content-Length: {2**30}", "Expect: 100-continue"))
    assert answer(line)[0] == 401


def test_a_chunked_body_without_the_token_ends_at_the_same_size(line):
    line.sendall(head("/events", "Transfer-Encoding: chunked"))

    def pour():
        chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        try:
            for _ in range(1000):
                line.sendall(chunk)
        except OSError:
            pass

    pouring = threading.Thread(target=pour)
    pouring.start()
    assert line.recv(100).startswith(b"HTTP/1.1 413")
    line.close()
    pouring.join()


def test_the_token_lets_a_larger_body_in(line):
    size = MAX_BATCH_BYTES + 1
    fields = (f"Content-Length: {size}", f"Authorization: Bearer {TOKEN}", "Connection: close")
    line.sendall(head("/api/v1/objects/x", *fields) + b"x" * size)
    assert answer(line) == (200, str(size).encode())


@pytest.mark.parametrize("beginning", [b"PUT /x HTTP/1.1\r\n", head("/x", "Content-Length: 99999")])
def test_a_client_that_trickles_is_cut_off(line, beginning):
    line.sendall(beginning)
    with pytest.raises(OSError, match=r"reset|pipe"):
        trickle(line, seconds=8)


def test_a_slow_client_that_keeps_pace_is_heard(line):
    size = 5 * PACE
    line.sendall(head("/x", f"Content-Length: {size}", "Connection: close"))
    for _ in range(5):
        time.sleep(0.5)
        line.sendall(b"x" * PACE)
    assert answer(line) == (200, str(size).encode())
