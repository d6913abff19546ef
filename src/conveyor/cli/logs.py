"""`conveyor logs`: the output of a run, while it runs too."""

from collections.abc import Mapping
from typing import Any

import click

from conveyor.cli.models import describe, find_model
from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import ago, console, harmless, print_json, say, table
from conveyor.errors import NotFound

_WAIT = 20


@click.command(
    epilog="""\b
Examples:
  conveyor logs                  (which runs there are)
  conveyor logs wine --follow    (the newest training of a model)
  conveyor logs wine --convert   (its newest conversion)
  conveyor logs --run 3f1c2ab0
"""
)
@click.argument("name", required=False)
@click.option("--run", help="This run, by its key or the first characters of it.")
@click.option("--convert", is_flag=True, help="The model's newest conversion, not its training.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@with_engine
def logs(
    session: Session, name: str | None, *, run: str | None, convert: bool, follow: bool
) -> None:
    """Show the output of a model's newest training by its NAME, or of a run by its key.

    Without either, list the runs.
    """
    found = session.client.runs()
    if name is None and run is None:
        _list(session, found)
        return
    key = run or _newest(session, found, name or "", convert=convert)
    text, after = "", 0
    while True:
        part = session.client.run_log(key, after, wait=_WAIT if follow else 0)
        if session.json:
            text += click.unstyle(part["text"])
        elif part["text"]:
            click.echo(harmless(click.unstyle(part["text"]), keep="\n\t"), nl=False)
        if part["done"] or (not part["text"] and not follow):
            break
        after = part["next"]
    if session.json:
        print_json({"run": part["run"], "text": text, "done": part["done"]})
    elif not after and not part["text"]:
        raise NotFound(f"the run {key[:12]} left no output")


def _newest(session: Session, found: Mapping[str, Any], name: str, *, convert: bool) -> str:
    """Return the key of a model's newest run, running or ended; what is no model is a key."""
    if any(str(each["key"]).startswith(name) for each in found["runs"]):
        return name
    own = [each for each in found["runs"] if each["owner"] == name]
    kinds = ["convert"] if convert else ["train", *(each["kind"] for each in own)]
    for kind in kinds:
        for each in own:
            if each["kind"] == kind:
                return str(each["key"])
    if own or (model := find_model(session.client.status(), name)) is None:
        if convert:
            raise NotFound(f"{name} has no conversion yet: see `conveyor logs`")
        return name
    raise NotFound(f"{name} has no run yet: {describe(model)}")


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
