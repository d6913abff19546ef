"""The entry point of the bare repository's hooks: it speaks in the pusher's terminal.

`python -m conveyor.data.hook pre|post --branch NAME --state FOLDER --url URL`, with the pushed
refs as git gives them on standard input. pre refuses what would break the line; post tells the
engine, then says what becomes of it.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conveyor.data.engine import Engine, follow
from conveyor.data.gitcommand import NO_OBJECT, Git, cleaned
from conveyor.data.gittree import GitTree
from conveyor.data.validation import check_tree
from conveyor.errors import ConveyorError

_QUARANTINE = (
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
)
_REDEFINING = (".yaml", ".yml", ".dvc", ".txt", ".in", ".csv")
"""Ends of files that are read into: line, pipeline, schemas, pointers, requirements, rows."""


@dataclass(frozen=True)
class Update:
    """One ref that is pushed; before or after is NO_OBJECT where it is made or deleted."""

    before: str
    after: str
    ref: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a hook; returns its exit status."""
    parser = argparse.ArgumentParser(prog="conveyor.data.hook", description=__doc__)
    parser.add_argument("when", choices=("pre", "post"))
    parser.add_argument("--branch", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--url", required=True)
    given = parser.parse_args(arguments)
    updates = [
        Update(*line.split(" ", 2))
        for line in sys.stdin.read().splitlines()
        if line.split(" ", 2)[-1] == f"refs/heads/{given.branch}"
    ]
    if given.when == "pre":
        return _pre(updates, given.branch)
    return _post(updates, Engine(state=given.state, url=given.url))


def _pre(updates: Iterable[Update], branch: str) -> int:
    passed = {name: os.environ[name] for name in _QUARANTINE if name in os.environ}
    git = Git(directory=Path.cwd(), environment=dict(os.environ), fixed=passed)
    try:
        problems = [problem for update in updates for problem in refusals(git, update, branch)]
    except ConveyorError as error:
        problems = [str(error)]
    for problem in problems:
        _say(problem)
    if problems:
        _say(f"nothing was pushed: {branch} is as it was. Mend this and push again.")
    return 1 if problems else 0


def refusals(git: Git, update: Update, branch: str) -> list[str]:
    """Return why an update of the line's branch is refused, [] where it is fine."""
    if update.after == NO_OBJECT:
        return [f"{branch} is the line: it cannot be deleted. Revert its commits instead."]
    fresh = update.before == NO_OBJECT
    if not fresh and git.ask("merge-base", "--is-ancestor", update.before, update.after).code:
        what = f"{branch} has commits that yours does not build on (a data set arrived?)"
        return [f"{what}. Run git pull --rebase conveyor {branch}, then push again."]
    if not fresh and not _touches_line(git, update):
        return []
    tree = GitTree(git, update.after)
    return check_tree(tree.read, tree.blobs().keys())


def _touches_line(git: Git, update: Update) -> bool:
    """Whether the update could break a line that was whole: all else may change without a look."""
    options = ("-r", "-z", "--name-status", "--no-renames")
    answer = git.run("diff-tree", *options, update.before, update.after)
    parts = answer.out.decode(errors="surrogateescape").split("\0")
    return any(
        status != "M" or path.endswith(_REDEFINING)
        for status, path in zip(parts[::2], parts[1::2], strict=False)
    )


def _post(updates: Sequence[Update], engine: Engine) -> int:
    """Tell the engine and follow; a push is stored by now, so nothing here makes it fail."""
    count = int(os.environ.get("GIT_PUSH_OPTION_COUNT", "0"))
    options = [os.environ.get(f"GIT_PUSH_OPTION_{number}") for number in range(count)]
    try:
        # One that begins pushes its first commit itself, without waiting, before it answers.
        if updates and "no-wait" not in options:
            engine.await_start()
        for update in updates:
            engine.tell(ref=update.ref, before=update.before, commit=update.after)
            if "no-wait" in options:
                _say(f"{update.after[:12]} is on its way; see: conveyor status")
            else:
                follow(engine, update.after, say=_say)
    except ConveyorError as error:
        _say(f"{error}. The push is stored, and handled when `conveyor up` runs.")
    return 0


def _say(text: str) -> None:
    for line in cleaned(text).splitlines():
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
