"""Git over HTTPS and SSH with credentials: they are used, and are seen nowhere."""

import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from conveyor.data.git import GitHistory
from conveyor.data.gitaccess import access
from conveyor.data.gitcommand import Git
from conveyor.errors import Rejected, Unavailable

PATH = {"PATH": os.environ["PATH"]}


@pytest.fixture
def opened(tmp_path):
    """Return a function that opens a history at a remote with credentials."""

    def open_history(remote, *, keys=Path("/nowhere"), **given):
        environment = access(remote, {**PATH, **given}, tmp_path / "access", keys=keys)
        return GitHistory(remote, tmp_path / "cache", environment=environment)

    return open_history


def test_a_password_opens_a_remote_for_reading_and_writing(git_server, opened, cause):
    begin(git_server.repository)
    history = opened(git_server.url, CONVEYOR_GIT_PASSWORD=git_server.password)
    head = history.head("main")
    made = history.record(lambda tree: {"a.txt": b"1"}, branch="main", message="a", because=cause())
    assert history.head("main") == made != head
    history.tag("wine@v1.0.0", made, "a release")
    assert [tag.name for tag in history.tags()] == ["wine@v1.0.0"]


def test_a_commit_larger_than_git_sends_in_one_piece_arrives(git_server, opened, cause):
    begin(git_server.repository)
    history = opened(git_server.url, CONVEYOR_GIT_PASSWORD=git_server.password)
    large = os.urandom(3 * 2**20)
    made = history.record(
        lambda tree: {"large": large}, branch="main", message="a", because=cause()
    )
    assert history.tree(made).read("large") == large


@pytest.mark.parametrize("given", [{}, {"CONVEYOR_GIT_PASSWORD": "a wrong one"}])
def test_without_the_right_password_the_remote_is_away_and_the_message_has_none(
    git_server, opened, given
):
    begin(git_server.repository)
    with pytest.raises(Unavailable) as refused:
        opened(git_server.url, **given).head("main")
    assert "could not read Username" in str(refused.value) or "Authentication failed" in str(
        refused.value
    )
    assert "a wrong one" not in str(refused.value)


def test_a_password_is_told_to_its_own_host_alone(git_server, tmp_path):
    environment = access(
        "http://git.shop.example/line.git",
        {**PATH, "CONVEYOR_GIT_PASSWORD": git_server.password},
        tmp_path / "access",
    )
    git = Git(directory=tmp_path, environment=environment)
    answer = git.ask("ls-remote", git_server.url)
    assert answer.code != 0
    assert git.ask("ls-remote", git_server.url_with_password).code == 0


def test_the_secret_is_in_no_argument_and_no_file(git_server, tmp_path):
    secret = git_server.password
    environment = access(
        git_server.url, {**PATH, "CONVEYOR_GIT_PASSWORD": secret}, tmp_path / "access"
    )
    history = GitHistory(git_server.url, tmp_path / "cache", environment=environment)
    begin(git_server.repository)
    history.tags()
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert secret.encode() not in file.read_bytes(), file
    assert (tmp_path / "access" / "askpass").stat().st_mode & 0o777 == 0o700
    assert secret not in history.repository


def test_a_deploy_key_opens_a_remote_for_reading_and_writing(git_ssh, opened, cause):
    begin(git_ssh.repository)
    (git_ssh.keys / "id").chmod(0o444)
    history = opened(git_ssh.url, keys=git_ssh.keys)
    made = history.record(lambda tree: {"a.txt": b"1"}, branch="main", message="a", because=cause())
    assert history.head("main") == made


def test_a_host_whose_key_is_another_one_is_not_believed(git_ssh, opened):
    begin(git_ssh.repository)
    hosts = git_ssh.keys / "known_hosts"
    name = hosts.read_text().split()[0]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    hosts.write_text(f"{name} {other}")
    with pytest.raises(Unavailable, match="verification failed"):
        opened(git_ssh.url, keys=git_ssh.keys).head("main")


def test_a_key_without_its_hosts_is_refused_with_what_to_do(git_ssh, opened):
    (git_ssh.keys / "known_hosts").unlink()
    with pytest.raises(Rejected, match="ssh-keyscan"):
        opened(git_ssh.url, keys=git_ssh.keys)


def begin(repository):
    """Commit something into a bare repository."""
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@shop.example"]
    git = ["git", "-C", str(repository), *who]
    tree = subprocess.run(
        [*git, "hash-object", "-t", "tree", "-w", "/dev/null"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    commit = subprocess.run(
        [*git, "commit-tree", "-m", "begin", tree], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run([*git, "update-ref", "refs/heads/main", commit], check=True)
