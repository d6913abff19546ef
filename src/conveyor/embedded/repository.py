"""The repository of the embedded engine, and the user's own clone beside it."""

import logging
import subprocess
from pathlib import Path

from conveyor.errors import Rejected

REMOTE = "conveyor"
"""The name of the Git remote that `git push conveyor main` goes to."""

log = logging.getLogger(__name__)


def introduce(clone: Path, repository: Path, branch: str) -> None:
    """Make the engine's repository known to the user's clone, and begin it with what is there.

    An empty repository gets the branch as committed in the clone; a later start changes nothing.
    Raises Rejected with the hook's words when the committed line is broken.
    """
    if _git(clone, "rev-parse", "--git-dir").returncode:
        log.info("%s is no Git repository: push a line to %s", clone, repository)
        return
    known = _git(clone, "remote", "get-url", REMOTE)
    if known.returncode:
        _git(clone, "remote", "add", REMOTE, str(repository))
    elif known.stdout.strip() != str(repository):
        log.warning("the remote %s is %s: left as it is", REMOTE, known.stdout.strip())
        return
    if _git(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode:
        _begin(clone, repository, branch)


def _begin(clone: Path, repository: Path, branch: str) -> None:
    if _git(clone, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode:
        log.info("no branch %s is committed yet: commit, then git push %s", branch, REMOTE)
        return
    pushed = _git(clone, "push", "--quiet", "-o", "no-wait", str(repository), branch)
    if pushed.returncode:
        msg = f"the committed line cannot begin:\n{pushed.stderr.strip()}"
        raise Rejected(msg)


def _git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(directory), *arguments], check=False, capture_output=True, text=True
    )
