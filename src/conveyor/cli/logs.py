"""`conveyor logs`: the output of a run, while it runs too."""

from collections.abc import Mapping
from typing import Any

import click

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import ago, console, harmless, print_json, say, table
from conveyor.errors import NotFound

_WAIT = 20


@click.command(
    epilog="""\b
Examples:
  conveyor logs                  (which runs there are)
  conveyor logs wine --follow    (the newest run of a model)
  conveyor logs 3f1c2ab0
"""
)
@click.argument("run", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@with_engine
def logs(session: Session, run: str | None, *, follow: bool) -> None:
    """Show the output of RUN (a key, or a model's name: its newest run); else list the runs."""
    found = session.client.runs()
    if run is None:
        _list(session, found)
        return
    key = next((each["key"] for each in found["runs"] if each["owner"] == run), run)
    text, after = "", 0
    while True:
        part = session.client.run_log(key, after, wait=_WAIT if follow else 0)
        if session.json:
            text += part["text"]
        elif part["text"]:
            click.echo(harmless(click.unstyle(part["text"]), keep="\n\t"), nl=False)
        if part["done"] or (not part["text"] and not follow):
            break
        after = part["next"]
    if session.json:
        print_json({"run": part["run"], "text": text, "done": part["done"]})
    elif not after and not part["text"]:
        raise NotFound(f"the run {key[:12]} left no output")


def _list(session: Session, found: Mapping[str, Any]) -> None:
    if session.json:
        print_json(found)
        return
    if not found["runs"]:
        say("no run yet")
        return
    rows = (
        (
            each["key"][:12],
            each["kind"],
            each["owner"],
            each.get("phase") or each["state"],
            ago(each.get("since") or each.get("ended")),
        )
        for each in found["runs"]
    )
    console().print(table("", ("run", "kind", "of", "state", "when"), rows))
