"""`conveyor validate`: check a line's files before they are pushed."""

import subprocess
import sys
from pathlib import Path

import click

from conveyor.cli.session import line_folder
from conveyor.cli.show import print_json, say
from conveyor.data.validation import check_tree
from conveyor.errors import NotFound
from conveyor.linefile import LINE_FILE

_MAX_READ = 16 * 2**20


@click.command(
    epilog="""\b
Examples:
  conveyor validate
  conveyor validate shop --json
"""
)
@click.argument(
    "directory", required=False, type=click.Path(exists=True, path_type=Path, file_okay=False)
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
def validate(directory: Path | None, *, as_json: bool) -> None:
    """Check the line in DIRECTORY (or the one around this folder) as a push would be checked.

    Each problem names file, line, what is wrong and what to write instead.
    """
    folder = directory or line_folder(Path.cwd()) or Path.cwd()
    problems = check_tree(lambda path: _read(folder, path), _files(folder))
    if as_json:
        print_json({"directory": str(folder), "problems": problems})
    else:
        for problem in problems:
            say(problem, style="red")
        if not problems:
            say(f"{folder / LINE_FILE} is a line that can run", style="green")
    sys.exit(1 if problems else 0)


def _read(folder: Path, path: str) -> bytes:
    try:
        with (folder / path).open("rb") as file:
            return file.read(_MAX_READ)
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror or error}") from error


def _files(folder: Path) -> list[str]:
    """Return what a commit of the work tree would hold; without Git, every file."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, check=False, capture_output=True)
    if listed.returncode == 0:
        names = listed.stdout.decode(errors="surrogateescape").split("\0")
        return sorted({name for name in names if name and (folder / name).is_file()})
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
