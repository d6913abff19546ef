"""What the terminal shows: plain where it is no terminal, and nothing in it that it would obey."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from conveyor.api.story import plain

_SHORT_TEXT = 24
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def console() -> Console:
    """Return the console of standard output, as wide as the terminal, COLUMNS or 80.

    Markup and emoji codes in texts mean nothing.
    """
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=False)


def say(text: str, style: str = "") -> None:
    """Print one line of text, made harmless."""
    console().print(Text(harmless(text), style=style), soft_wrap=True)


def harmless(text: str, keep: str = "") -> str:
    """Return a text without what a terminal would obey, but for the characters to keep."""
    return "".join(c if c.isprintable() or c in keep else " " for c in text)


def complain(text: str) -> None:
    """Print an error on standard error, each of its lines made harmless."""
    lines = [plain(line) for line in text.splitlines()] or ["it failed"]
    click.echo(f"error: {lines[0]}", err=True)
    for line in lines[1:]:
        click.echo(line, err=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on one line; control characters are escaped by JSON itself."""
    click.echo(json.dumps(value, ensure_ascii=True, default=str))


def cell(value: Any, style: str = "") -> Text:
    """Return a value for a table; None is a dash."""
    return Text("-" if value in {None, ""} else plain(str(value)), style=style)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table whose cells are values or texts; where it is narrow, long texts are folded."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    cells = [[each if isinstance(each, Text) else cell(each) for each in row] for row in rows]
    for at, column in enumerate(columns):
        whole = all(row[at].cell_len <= _SHORT_TEXT for row in cells)
        made.add_column(column, overflow="fold", no_wrap=whole)
    for row in cells:
        made.add_row(*row)
    return made


def ago(moment: str | None, now: datetime | None = None) -> str:
    """Return how long ago (or in how long) an RFC 3339 time is, e.g. "3 min ago", "in 2 h"."""
    if not moment:
        return "-"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    text = lasting(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def lasting(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
