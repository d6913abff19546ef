"""`conveyor releases`: what was released."""

from collections.abc import Sequence

import click

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import cell, console, print_json, say, table

_PAST = {"stable": "was stable", "rolledback": "rolled back", "aborted": "aborted"}


@click.command(
    epilog="""\b
Examples:
  conveyor releases
  conveyor releases wine --json
"""
)
@click.argument("model", required=False)
@with_engine
def releases(session: Session, model: str | None) -> None:
    """List the releases of [MODEL], the newest first."""
    found = session.client.releases(model)
    if session.json:
        print_json(found)
        return
    if not found["releases"]:
        say("no release yet")
        return
    rows = (
        (
            each["tag"],
            cell("stable now", "green") if each["stable"] else _past(each["ended"]),
            each["release"][:12],
            each["onnx"][:12],
            each["commit"][:12],
        )
        for each in found["releases"]
    )
    console().print(table("", ("release", "state", "digest", "onnx", "commit"), rows))


def _past(ended: Sequence[str]) -> str:
    """Return how its rollouts ended, each way once, the last one last."""
    return ", ".join(dict.fromkeys(_PAST.get(each, each) for each in ended))
