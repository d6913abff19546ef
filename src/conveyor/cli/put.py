"""`conveyor put`: upload a file or a folder, and follow what it leads to."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from conveyor.api.inbox import checked_key
from conveyor.cli.client import Client
from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import print_json, say
from conveyor.cli.uploads import bucket_advice, guess, members
from conveyor.errors import Rejected

Stored = dict[str, Any]


@click.command(
    epilog="""\b
Examples:
  conveyor put wine.csv                    (to the only upload there is, or the one of that name)
  conveyor put first.csv wine/wine.csv --wait
  conveyor put reviews reviews/            (a folder: every file in it, its marker last)
"""
)
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("key", required=False)
@click.option("--wait", "-w", is_flag=True, help="Follow what it leads to, to the end.")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    help="Seconds to follow for, with --wait.",
)
@functools.partial(with_engine, advice=bucket_advice)
def put(session: Session, file: Path, key: str | None, *, wait: bool, timeout: float) -> None:
    """Upload FILE, or every file of a folder, to the bucket as KEY (a folder's ends with /).

    With --wait the exit code is 1 when the data or a model made of it was refused.
    """
    stored = _put(session, file, key)
    if stored["taker"] is None:
        advice = f"add `upload: {key or stored['key']}` under a name in `data:` or `models:`"
        raise Rejected(
            f"{stored['key']} is stored, but no data set or model takes it: {advice} of "
            f"conveyor.yaml, and push"
        )
    _tell(session, f"{file.name} is stored as {stored['key']}, for {stored['taker']}")
    waits = stored.get("waits") or ""
    if waits:
        _tell(session, f"{stored['taker']} {waits}: nothing is done before")
    lines, failed = _follow(session, stored, timeout) if wait and not waits else ([], False)
    if session.json:
        print_json({**stored, "lines": lines, "failed": failed})
    sys.exit(1 if failed else 0)


def _put(session: Session, file: Path, key: str | None) -> Stored:
    """Store a file or a folder; returns what the engine said of the last file."""
    key = key or guess(file)
    if not file.is_dir():
        # Checked here too: a URL would be read as another key before the engine sees it.
        return _upload(session, file, checked_key(key))
    folder = key if key.endswith("/") else f"{key}/"
    stored: Stored = {}
    with members(file, folder, session.client.status()["data"]) as found:
        keys = [checked_key(folder + name) for name, _ in found]
        for (_, path), target in zip(found, keys, strict=True):
            stored = _upload(session, path, target)
            _tell(session, f"  {target}")
    return stored


def _tell(session: Session, text: str) -> None:
    if not session.json:
        say(text)


def _upload(session: Session, file: Path, key: str) -> Stored:
    size = file.stat().st_size
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    quiet = session.json or not sys.stderr.isatty()
    with Progress(*columns, TransferSpeedColumn(), transient=True, disable=quiet) as progress:
        task = progress.add_task("uploading", total=size)
        stored: Stored = session.client.put(
            file, key, progress=lambda sent: progress.advance(task, sent)
        )
    return stored


def _follow(session: Session, stored: Stored, timeout: float) -> tuple[Sequence[str], bool]:
    client: Client = session.client
    event = client.uploaded(stored["key"], int(stored["after"]), timeout=timeout)
    lines: list[str] = []
    failed = False
    for news in client.story(event, timeout=timeout):
        lines += news["lines"]
        failed = failed or bool(news["failed"])
        for line in news["lines"]:
            _tell(session, line)
    return lines, failed
