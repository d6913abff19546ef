"""`conveyor events`: what happened, as a story."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import cell, console, print_json
from conveyor.domain.payloads import TYPES, InferenceObserved, NoticeReceived, ScheduleFired

_WAIT = 20
_NOISE = {p.event_type() for p in (InferenceObserved, NoticeReceived, ScheduleFired)}
_STYLES = {"✗": "red", "↩": "red", "✔": "green", "★": "green", "▲": "cyan", "→": "blue"}


@click.command(
    epilog="""\b
Examples:
  conveyor events
  conveyor events --follow
  conveyor events --type model.rejected --limit 5
  conveyor events --all --follow --json        (one event a line)
"""
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many of the newest.",
)
@click.option(
    "--type", "kinds", multiple=True, help="Only this type, e.g. model.rejected; may be repeated."
)
@click.option("--correlation", help="Only what belongs to one cause, by its correlation id.")
@click.option(
    "--all", "everything", is_flag=True, help="Show ticks, notices and traffic windows too."
)
@with_engine
def events(  # noqa: PLR0913 -- one per option
    session: Session,
    *,
    follow: bool,
    limit: int,
    kinds: Sequence[str],
    correlation: str | None,
    everything: bool,
) -> None:
    """Show what happened, the newest last."""
    types = [_whole(kind) for kind in kinds] or (
        [] if everything or correlation else sorted(TYPES.keys() - _NOISE)
    )
    found = session.client.events(
        0 if correlation else -1, limit=limit, types=types, correlation=correlation or ""
    )
    out = console()
    if session.json and not follow:
        print_json(found)
        return
    while True:
        for event in found["events"]:
            _show(session, out, event)
        if not follow:
            return
        found = session.client.events(
            found["next"], limit=limit, types=types, correlation=correlation or "", wait=_WAIT
        )


def _whole(kind: str) -> str:
    """Return a type's whole name; `model.rejected` is enough."""
    if kind in TYPES:
        return kind
    whole = f"dev.conveyor.{kind}.v1"
    if whole not in TYPES:
        known = ", ".join(name.removeprefix("dev.conveyor.").removesuffix(".v1") for name in TYPES)
        raise click.BadParameter(f"there is no type {kind!r}; known: {known}", param_hint="--type")
    return whole


def _show(session: Session, out: Console, event: Mapping[str, Any]) -> None:
    if session.json:
        print_json(event)
        return
    when = datetime.fromisoformat(event["stored"]).astimezone()
    story = cell(event["story"], _STYLES.get(event["story"][:1], ""))
    identity = (event["id"][:8], "dim")
    line = Text.assemble((f"{when:%H:%M:%S}  ", "dim"), identity, "  ", story)
    for delivery in event["deliveries"]:
        if delivery["state"] == "dead":
            line.append(f"  ({delivery['station']} gave up: see conveyor dead-letters)", "red")
    out.print(line, soft_wrap=True)
