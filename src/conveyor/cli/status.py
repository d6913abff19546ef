"""`conveyor status`: the departure board of a line."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import ago, cell, console, lasting, print_json, table

SHORT = 8
_EVERY = 1.0
_DATA = ("data", "version", "rows", "since", "state")
_MODELS = ("model", "stable", "metric", "state")
_JOBS = ("job", "of", "run", "phase", "since")


@click.command(
    epilog="""\b
Examples:
  conveyor status
  conveyor status --watch
  conveyor status --json | jq '.models[].waits'
"""
)
@click.option("--watch", "-w", is_flag=True, help="Keep the board on the screen, until Ctrl-C.")
@with_engine
def status(session: Session, *, watch: bool) -> None:
    """Show where each thing of the line is, since when, and what it waits for."""
    if session.json:
        print_json(session.client.status())
        return
    out = console()
    if not watch:
        out.print(board(session.client.status()))
        return
    with Live(board(session.client.status()), console=out, auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY)
            live.update(board(session.client.status()), refresh=True)


def board(told: Mapping[str, Any]) -> Group:
    """Return the board as a terminal shows it."""
    return Group(*_sections(told))


def _sections(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield _head(told)
    for problem in told["problems"]:
        yield Text.assemble(("! ", "bold red"), cell(problem, "red"))
    if told["data"]:
        yield Text()
        yield table("", _DATA, map(_data, told["data"]))
    if told["models"]:
        yield Text()
        yield table("", _MODELS, map(_model, told["models"]))
    if told["jobs"]:
        yield Text()
        yield table("", _JOBS, map(_job, told["jobs"]))
    if told["ignored"]:
        yield Text()
        rows = ((i["key"], ago(i["at"]), i["reason"]) for i in told["ignored"])
        yield table("", ("ignored", "since", "what to do"), rows)
    yield Text()
    yield _foot(told["deliveries"])


def _head(told: Mapping[str, Any]) -> Text:
    state = ("ready", "bold green") if told["ready"] else ("not ready", "bold red")
    commit = told["commit"][:SHORT] or "no commit yet"
    rest = f"{told['branch']} at {commit}, up for {lasting(told['uptime'])}"
    return Text.assemble(cell(told["line"], "bold"), "  ", state, "  ", cell(rest))


def _data(row: Mapping[str, Any]) -> tuple[Any, ...]:
    state = cell(row["waits"], "yellow") if row["waits"] else cell("checks passed", "green")
    if row["refusal"] and not row["waits"].startswith(row["upload"]):
        when = ago(row["refusal"]["at"])
        state = cell(f"refused {when}: {'; '.join(row['refusal']['reasons'][:3])}", "red")
    version = (row["version"] or "")[:SHORT]
    return row["name"], version, row["rows"], ago(row["since"]), state


def _model(row: Mapping[str, Any]) -> tuple[Any, ...]:
    metric, rollout = row["metric"], row["rollout"]
    value = (
        "" if not metric or metric["value"] is None else f"{metric['name']} {metric['value']:.4g}"
    )
    told = [_rollout(rollout)] if rollout else []
    if len(row["traffic"]) > 1:
        shares = (f"{name} {percent} %" for name, percent in row["traffic"].items())
        told.append(cell(f"traffic: {', '.join(shares)}"))
    # One below the other: side by side they would not fit into 80 columns.
    state = Text("\n").join([*told, _model_state(row)])
    return row["name"], row["stable"], value, state


def _rollout(rollout: Mapping[str, Any]) -> Text:
    state = "paused" if rollout["paused"] else rollout["state"]
    text = f"{rollout['candidate']} {state}"
    if rollout["state"] == "canary":
        text += f" at {rollout['percent']} %, step {rollout['step']} of {rollout['steps']}"
    text += f", {ago(rollout['since'])}"
    return cell(text, "yellow" if rollout["paused"] else "cyan")


def _model_state(row: Mapping[str, Any]) -> Text:
    if row["waits"]:
        return cell(row["waits"], "yellow")
    if row["refusal"]:
        refusal = row["refusal"]
        why = "; ".join(refusal["reasons"])
        when = ago(refusal["at"])
        return cell(f"last candidate refused at {refusal['stage']} {when}: {why}", "red")
    if not row["stable"]:
        return cell("nothing serves yet", "yellow")
    again = f", trains again {ago(row['retrain'])}" if row["retrain"] else ""
    return cell(f"serves{again}", "green")


def _job(row: Mapping[str, Any]) -> tuple[Any, ...]:
    why = f": {row['reason']}" if row["reason"] else ""
    return row["kind"], row["owner"], row["key"][:SHORT], row["phase"] + why, ago(row["since"])


def _foot(counts: Mapping[str, Any]) -> Text:
    text = (
        f"{counts['events']} events, {counts['owed']} deliveries owed, {counts['leased']} at work"
    )
    foot = cell(text, "dim")
    if counts["dead"]:
        foot.append(f", {counts['dead']} dead letters: conveyor dead-letters", "bold red")
    return foot
