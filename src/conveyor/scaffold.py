"""Make a new line that runs at once: the files of a template, under Git."""

import re
import subprocess
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from conveyor.errors import Conflict, Rejected, Unavailable

TEMPLATES = ("classification", "regression")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


def init(directory: Path, *, template: str, name: str) -> list[str]:
    """Write a template's files into the directory and commit them; returns their paths below it.

    A file that is there already is never touched: Conflict names it and nothing is written. Raises
    Rejected for an unknown template or a name that is not lower case letters, digits and dashes.
    """
    if template not in TEMPLATES:
        msg = f"there is no template {template!r}; take one of {', '.join(TEMPLATES)}"
        raise Rejected(msg)
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot name a line: use lower case letters, digits and dashes, 40 at most"
        raise Rejected(msg)
    files = dict(_rendered(template, name))
    _refuse_overwriting(directory, files)
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    _commit(directory, sorted(files), name)
    return sorted(files)


def _rendered(template: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of each file; `dot-x` becomes `.x`, `x.in` becomes `x`, NAME the name."""
    package = resources.files("conveyor")
    for path, source in _walk(package / "templates" / template, ""):
        parts = [re.sub("^dot-", ".", part) for part in path.split("/")]
        target = "/".join(parts).removesuffix(".in").replace("NAME", name)
        yield target, source.read_text().replace("@name@", name)
    yield "conveyor.schema.json", (package / "schemas" / "conveyor.schema.json").read_text()


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def _refuse_overwriting(directory: Path, files: dict[str, str]) -> None:
    taken = sorted(path for path in files if (directory / path).exists())
    if taken:
        msg = f"{directory} already has {', '.join(taken)}; take an empty folder"
        raise Conflict(msg)


def _commit(directory: Path, paths: list[str], name: str) -> None:
    """Commit the files: a line is a repository of its own, also inside another one."""
    if not (directory / ".git").exists():
        _git(directory, "init", "--quiet", "--initial-branch", "main")
    _git(directory, "add", "--", *paths)
    _git(directory, "commit", "--quiet", "-m", f"Begin the line {name}", "--", *paths)


def _git(directory: Path, *arguments: str) -> None:
    """Run git as the user; one without a name of their own commits as Conveyor."""
    known = subprocess.run(
        ["git", "-C", directory, "config", "user.email"], check=False, capture_output=True
    )
    identity = ("-c", "user.name=Conveyor", "-c", "user.email=conveyor@localhost")
    command = ["git", "-C", str(directory), *(identity if known.returncode else ()), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        msg = f"git {arguments[0]} failed: {done.stderr.strip()}"
        raise Unavailable(msg)
