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
    Raises Rejected with the hook's words when the committed line is broken, and where the line is
    a folder inside a repository of something else.
    """
    top = _git(clone, "rev-parse", "--show-toplevel")
    if top.returncode:
        log.warning("%s is no Git repository: push a line to %s", clone, repository)
        return
    if Path(top.stdout.strip()).resolve() != clone.resolve():
        msg = (
            f"{clone} lies inside the repository {top.stdout.strip()}: a line is a repository of "
            f"its own, so run `git init -b {branch}` in {clone} and commit"
        )
        raise Rejected(msg)
    known = _git(clone, "remote", "get-url", REMOTE)
    if known.returncode:
        _git(clone, "remote", "add", REMOTE, str(repository))
    elif known.stdout.strip() != str(repository):
        log.warning("the remote %s is %s: left as it is", REMOTE, known.stdout.strip())
        return
    if _git(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode:
        _begin(clone, repository, branch)


def refuse_foreign_state(clone: Path, state: Path) -> None:
    """Raise Rejected where the state folder came with the repository: somebody else made it.

    It holds the keys, and a Git repository whose settings and hooks would run here.
    """
    tracked = _git(clone, "ls-files", "-z", "--", str(state.absolute()))
    if tracked.stdout:
        first = tracked.stdout.split("\0")[0]
        msg = (
            f"{first} is committed: the state folder must be this machine's own, for who made it "
            f"knows its keys; `git rm -r --cached {state}`, delete the folder and start again"
        )
        raise Rejected(msg)


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
