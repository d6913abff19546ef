"""An engine that answers what a test tells it to, and a way to run commands against it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from click.testing import CliRunner, Result

from conveyor.cli.main import cli

TOKEN = "the token"  # noqa: S105


@dataclass
class Engine:
    """answers maps "METHOD /path" to (status, JSON) or a list of them, one per call."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, list[str]], bytes, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str, body: bytes, token: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        name = f"{method} {unquote(parts.path)}"
        self.calls.append((name, parse_qs(parts.query), body, token))
        told = self.answers.get(name, (404, {"error": f"no {name}", "kind": "NotFound"}))
        if isinstance(told, list):
            told = told.pop(0) if len(told) > 1 else told[0]
        return told if isinstance(told, tuple) else (200, told)

    def run(self, *arguments: str, **options: Any) -> Result:
        named = {"CONVEYOR_URL": self.url, "CONVEYOR_TOKEN": TOKEN, "COLUMNS": "80"}
        return CliRunner().invoke(cli, arguments, env=named, **options)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "")
            status, value = made.answer(self.command, self.path, body, token)
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_PUT = do_GET  # noqa: N815 -- as the server calls them

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
