"""Where an upload goes: its key by conveyor.yaml, the files of a folder, the bucket itself."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from conveyor.cli.session import line_folder
from conveyor.domain.line import Line
from conveyor.errors import ConveyorError, Rejected
from conveyor.linefile import LINE_FILE, parse_line

Member = tuple[str, Path]
"""A file's name below its folder, and where it lies."""


def guess(file: Path) -> str:
    """Return the key of the only upload that fits, or of the one that is named like the file.

    A folder fits uploads that are directories, a file all others. Raises Rejected where there is
    none or more than one.
    """
    folder = line_folder(Path.cwd())
    if folder is None:
        raise Rejected(
            f"no {LINE_FILE} here to tell the key of {file.name}: name it after the file"
        )
    takers = _takers(_line(folder))
    fitting = [key for key in takers if key.endswith("/") == file.is_dir()]
    named = [key for key in fitting if PurePosixPath(key).name == file.resolve().name]
    chosen = named if len(named) == 1 else fitting
    if len(chosen) != 1:
        raise Rejected(
            f"{file.name} is not the upload of exactly one data set or model: name the key after "
            f"the file; {LINE_FILE} has: {', '.join(takers) or 'none'}"
        )
    return chosen[0]


@contextmanager
def members(folder: Path, key: str, data: Iterable[Mapping[str, Any]]) -> Iterator[list[Member]]:
    """Give a folder's files in the order in which they are to be put: the marker last.

    data are the board's data sets. A marker that the data set asks for and the folder lacks is an
    empty file. Hidden files are left out. Raises Rejected for a folder without files.
    """
    marker = next((row.get("marker") for row in data if row["upload"] == key), None)
    found = [
        (path.relative_to(folder).as_posix(), path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    shown = [(name, path) for name, path in found if not _is_hidden(name)]
    parts = [(name, path) for name, path in shown if name != marker]
    if not parts:
        raise Rejected(f"{folder} holds no files to put; hidden ones are never taken")
    if marker is None:
        yield parts
        return
    with tempfile.TemporaryDirectory() as made:
        empty = Path(made) / "marker"
        empty.touch()
        yield [*parts, (marker, dict(shown).get(marker, empty))]


def bucket_advice() -> str:
    """Return where a file may be copied while no engine runs, "" where that is not a folder."""
    folder = line_folder(Path.cwd())
    try:
        line = _line(folder) if folder else None
    except ConveyorError:
        return ""
    if folder is None or line is None or "://" in line.bucket:
        return ""
    place = folder / line.bucket / next(iter(_takers(line)), "KEY")
    return f"; copying the file to {place} is enough too: it is found at the next start"


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _line(folder: Path) -> Line:
    return parse_line((folder / LINE_FILE).read_bytes(), default_name=folder.name)


def _takers(line: Line) -> list[str]:
    data = [each.upload for each in line.data.values()]
    return [*data, *(model.upload for model in line.models.values() if model.upload)]
