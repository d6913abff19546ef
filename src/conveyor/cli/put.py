"""`conveyor put`: upload a file, and follow what it leads to."""

import sys
from pathlib import Path, PurePosixPath
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from conveyor.api.inbox import checked_key
from conveyor.cli.client import Client
from conveyor.cli.session import Session, line_folder, with_engine
from conveyor.cli.show import print_json, say
from conveyor.domain.line import Dataset, Model
from conveyor.errors import Rejected
from conveyor.linefile import LINE_FILE, parse_line


@click.command(
    epilog="""\b
Examples:
  conveyor put wine.csv                    (the key is the data set's upload of that name)
  conveyor put first.csv wine/wine.csv --wait
"""
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("key", required=False)
@click.option("--wait", "-w", is_flag=True, help="Follow what it leads to, to the end.")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    help="Seconds to follow for, with --wait.",
)
@with_engine
def put(session: Session, file: Path, key: str | None, *, wait: bool, timeout: float) -> None:
    """Upload FILE to the bucket as KEY.

    With --wait the exit code is 1 when the data or a model made of it was refused.
    """
    # Checked here too: a URL would be read as another key before the engine sees it.
    key = checked_key(key or guess(file))
    stored = _upload(session, file, key)
    if stored["taker"] is None:
        advice = f"add `upload: {key}` under a name in `data:` or `models:` of conveyor.yaml"
        raise Rejected(f"{key} is stored, but no data set or model takes it: {advice}, and push")
    if not session.json:
        say(f"{file.name} is stored as {key}, for {stored['taker']}")
    lines, failed = _follow(session, stored, timeout) if wait else ([], False)
    if session.json:
        print_json({**stored, "lines": lines, "failed": failed})
    sys.exit(1 if failed else 0)


def guess(file: Path) -> str:
    """Return the key of the one data set or model that takes a file of this name."""
    folder = line_folder(Path.cwd())
    if folder is None:
        raise Rejected(
            f"no {LINE_FILE} here to tell the key of {file.name}: name it after the file"
        )
    line = parse_line((folder / LINE_FILE).read_bytes(), default_name=folder.name)
    takers: list[Dataset | Model] = [*line.data.values(), *line.models.values()]
    uploads = [each.upload for each in takers if each.upload]
    named = [known for known in uploads if PurePosixPath(known).name == file.name]
    fitting = [known for known in named if not known.endswith("/")]
    if len(fitting) != 1:
        known = ", ".join(uploads) or "none"
        raise Rejected(
            f"{file.name} is not the upload of exactly one data set or model: name the key after "
            f"the file; conveyor.yaml has: {known}"
        )
    return fitting[0]


def _upload(session: Session, file: Path, key: str) -> dict[str, Any]:
    size = file.stat().st_size
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    quiet = session.json or not sys.stderr.isatty()
    with Progress(*columns, TransferSpeedColumn(), transient=True, disable=quiet) as progress:
        task = progress.add_task("uploading", total=size)
        stored: dict[str, Any] = session.client.put(
            file, key, progress=lambda sent: progress.advance(task, sent)
        )
    return stored


def _follow(session: Session, stored: dict[str, Any], timeout: float) -> tuple[list[str], bool]:
    client: Client = session.client
    event = client.uploaded(stored["key"], int(stored["after"]), timeout=timeout)
    lines: list[str] = []
    failed = False
    for news in client.story(event, timeout=timeout):
        lines += news["lines"]
        failed = failed or bool(news["failed"])
        if not session.json:
            for line in news["lines"]:
                say(line)
    return lines, failed
