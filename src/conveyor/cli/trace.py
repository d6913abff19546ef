"""`conveyor trace`: where a thing came from, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import cell, console, print_json

Node = Mapping[str, Any]
_FACTS = ("object", "data", "commit", "model file", "run", "onnx", "release", "tag")


@click.command(
    epilog="""\b
X may be an event's id, an object's key, a commit, a data set's version (md5), a run, a release
(tag or digest), an ONNX digest or a prediction's id; ids may be cut to 8 characters.

\b
Examples:
  conveyor trace wine@v1.0.0
  conveyor trace wine/wine.csv
  conveyor trace 3f1c2ab09d8e7f65-5b1e0c0   (a prediction's id)
"""
)
@click.argument("x")
@with_engine
def trace(session: Session, x: str) -> None:
    """Show where X came from, and what came of it."""
    report = session.client.trace(x)
    if session.json:
        print_json(report)
        return
    out = console()
    out.print(Text.assemble(cell(report["kind"], "bold"), " ", cell(report["value"])))
    for kind in [k for k in _FACTS if k in report["facts"]]:
        values = ", ".join(report["facts"][kind])
        out.print(Text.assemble((f"  {kind:<11}", "dim"), cell(values)), soft_wrap=True)
    for tree in _trees(report["events"]):
        out.print(tree)
    if report["truncated"]:
        out.print(cell("there is more: trace one of these for the rest", "yellow"))


def _trees(nodes: Sequence[Node]) -> list[Tree]:
    known = {node["seq"]: node for node in nodes}
    here = [node for node in nodes if node["direction"] == "here"]

    def causes(node: Node) -> list[Node]:
        # The latest cause first: it has the longest story, and what it tells is not told again.
        given = sorted(node["causes"], reverse=True)
        return [known[seq] for seq in given if seq in known and known[seq] not in here]

    def effects(node: Node) -> list[Node]:
        found = [each for each in nodes if node["seq"] in each["causes"]]
        return [each for each in found if each not in here]

    # What else a cause led to is not part of where this came from, nor the other way round.
    up = [node for node in here if causes(node)] or here
    down = [node for node in here if effects(node)] or here
    return [
        _tree("it came from", up, lambda node: [n for n in causes(node) if n["direction"] == "up"]),
        _tree("it led to", down, lambda n: [e for e in effects(n) if e["direction"] == "down"]),
    ]


def _tree(title: str, roots: Sequence[Node], step: Callable[[Node], list[Node]]) -> Tree:
    tree = Tree(Text(title, style="bold"))
    shown: set[int] = set()
    waiting = [(tree, node) for node in reversed(roots)]
    while waiting:
        branch, node = waiting.pop()
        again = node["seq"] in shown
        twig = branch.add(_label(node, again=again))
        if not again:
            shown.add(node["seq"])
            waiting += [(twig, each) for each in reversed(step(node))]
    return tree


def _label(node: Node, *, again: bool) -> Text:
    when = datetime.fromisoformat(node["time"]).astimezone()
    seen = "  (see above)" if again else ""
    start = (f"{node['id'][:8]}  {when:%F %T}  ", "dim")
    style = "bold" if node["direction"] == "here" else ""
    return Text.assemble(start, cell(node["story"], style), (seen, "dim"))
