"""A Git server over SSH that knows one deploy key."""

import asyncio
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

PROGRAMS = ("git-upload-pack", "git-receive-pack")


class SshServer:
    """One bare repository in a folder, served to who has the key in `keys`.

    `keys` is as a cluster mounts it: `id` and `known_hosts`.
    """

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "line.git"
        self.keys = folder / "keys"
        self.keys.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.repository], check=True)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._server.get_port()
        host = self._host_key.export_public_key().decode().strip()
        (self.keys / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host}\n")

    @property
    def url(self) -> str:
        """The remote."""
        return f"ssh://git@127.0.0.1:{self.port}{self.repository}"

    def close(self) -> None:
        """Stop answering."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(self.keys / "id")
        known = self.keys / "authorized"
        known.write_bytes(key.export_public_key())
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host_key],
            authorized_client_keys=str(known),
            process_factory=self._answer,
            encoding=None,
        )

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)

    async def _answer(self, process: asyncssh.SSHServerProcess) -> None:
        program, *paths = shlex.split(process.command or "none")
        if program not in PROGRAMS or paths != [str(self.repository)]:
            process.exit(1)
            return
        pipe = asyncio.subprocess.PIPE
        ran = await asyncio.create_subprocess_exec(
            program, *paths, stdin=pipe, stdout=pipe, stderr=pipe
        )
        given = asyncio.create_task(_pass(process.stdin, ran.stdin, end=True))
        await asyncio.gather(_pass(ran.stdout, process.stdout), _pass(ran.stderr, process.stderr))
        given.cancel()
        process.exit(await ran.wait())


async def _pass(source, target, *, end: bool = False) -> None:
    """Hand bytes on until there are no more. (`process.redirect` leaves coroutines behind.)"""
    while chunk := await source.read(2**16):
        target.write(chunk)
        await target.drain()
    if end:
        target.close()


@pytest.fixture
def git_ssh(tmp_path) -> Iterator[SshServer]:
    server = SshServer(tmp_path / "ssh")
    yield server
    server.close()
