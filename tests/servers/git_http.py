"""A Git server over HTTP that asks for a password: git's own http-backend behind a small bridge.

    PYTHONPATH=tests python -m servers.git_http FOLDER --host 0.0.0.0 --port 8000 --password secret

serves `http://git:secret@HOST:8000/line.git`; --post-receive names a script to run after each push.
"""

import argparse
import base64
import hmac
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import waitress

REPOSITORY = "line.git"


class GitServer:
    """One bare repository in a folder, served while it is open.

    hook is the text of a post-receive hook; branch is the repository's first.
    """

    def __init__(  # noqa: PLR0913 -- what may be chosen
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        user: str = "git",
        password: str = "",
        hook: str = "",
        branch: str = "main",
    ) -> None:
        self.user, self.password = user, password or secrets.token_urlsafe(16)
        self.repository = folder / REPOSITORY
        self.asked: list[str] = []
        self._folder = folder
        if not self.repository.exists():
            create = ["git", "init", "--quiet", "--bare", f"--initial-branch={branch}"]
            subprocess.run([*create, self.repository], check=True)
        config = ["git", "-C", self.repository, "config"]
        subprocess.run([*config, "http.receivepack", "true"], check=True)
        self.hook(hook)
        self._server = waitress.create_server(
            self.answer, host=host, port=port, threads=8, ident=None
        )
        self.host, self.port = host, self._server.effective_port
        threading.Thread(target=self._server.run, name="git", daemon=True).start()

    @property
    def url(self) -> str:
        """The remote, without credentials."""
        return f"http://{self.host}:{self.port}/{REPOSITORY}"

    @property
    def url_with_password(self) -> str:
        """The remote as a user would paste it."""
        return self.url.replace("://", f"://{self.user}:{self.password}@")

    def hook(self, text: str) -> None:
        """Run this script after each push."""
        path = self.repository / "hooks" / "post-receive"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text or "#!/bin/sh\n")
        path.chmod(0o755)

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def answer(self, environ, start):
        """Ask for the password, then let git answer."""
        self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        shown = f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"
        given = environ.get("HTTP_AUTHORIZATION", "")
        if not hmac.compare_digest(given.encode(), shown.encode()):
            start("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="git"')])
            return [b"who are you?\n"]
        body = environ["wsgi.input"].read()
        ran = subprocess.run(
            ["git", "http-backend"],
            env=self._environment(environ, len(body)),
            input=body,
            capture_output=True,
            check=False,
        )
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().splitlines() if line]
        status = dict(headers).pop("Status", "200 OK" if head else "500 Internal Server Error")
        start(status, [header for header in headers if header[0] != "Status"])
        return [content]

    def _environment(self, environ, length: int) -> dict[str, str]:
        passed = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE")
        encoding = environ.get("HTTP_CONTENT_ENCODING", "")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
            "REMOTE_USER": self.user,
            "REMOTE_ADDR": environ.get("REMOTE_ADDR", ""),
            "CONTENT_LENGTH": str(length),
            **{name: environ.get(name, "") for name in passed},
            **({"HTTP_CONTENT_ENCODING": encoding} if encoding else {}),
        }


@pytest.fixture
def git_server(tmp_path) -> Iterator[GitServer]:
    server = GitServer(tmp_path / "served")
    yield server
    server.close()
    shutil.rmtree(tmp_path / "served")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--password", required=True)
    parser.add_argument("--post-receive", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    hook = given.post_receive.read_text() if given.post_receive else ""
    GitServer(given.folder, host=given.host, port=given.port, password=given.password, hook=hook)
    threading.Event().wait()


if __name__ == "__main__":
    main()
