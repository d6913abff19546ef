"""`conveyor trace`: where a thing came from, and what came of it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from conveyor.cli.lineage import SHORT, lead
from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import cell, console, print_json
from conveyor.domain.objects import RESERVED
from conveyor.domain.payloads import InferenceObserved

Node = Mapping[str, Any]
_FACTS = ("object", "data", "commit", "model file", "run", "onnx", "release", "tag")
_WHOLE = frozenset({"object", "tag"})
_EVIDENCE = InferenceObserved.event_type()


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
@click.option("--all", "everything", is_flag=True, help="Show windows of traffic too.")
@with_engine
def trace(session: Session, x: str, *, everything: bool) -> None:
    """Show where X came from, and what came of it.

    The first line leads from upload to release. Ids are cut; --json has them whole, and the keys
    below which Conveyor keeps things.
    """
    report = session.client.trace(x)
    if session.json:
        print_json(report)
        return
    out = console()
    out.print(_head(report), soft_wrap=True)
    if chain := lead(report):
        steps = [Text.assemble((f"{label} ", "dim"), cell(value, "bold")) for label, value in chain]
        out.print(Text("  "), Text(" -> ").join(steps), sep="", soft_wrap=True)
    for kind, values in _facts(report):
        out.print(Text.assemble((f"  {kind:<11}", "dim"), cell(values)), soft_wrap=True)
    for tree in _trees(report["events"], hidden=frozenset() if everything else {_EVIDENCE}):
        out.print(tree)
    if report.get("lost"):
        out.print(cell(report["lost"], "yellow"), soft_wrap=True)
    if report["truncated"]:
        out.print(cell("there is more: trace one of these for the rest", "yellow"))


def _head(report: Mapping[str, Any]) -> Text:
    value = report["value"]
    if report["kind"] not in {*_WHOLE, "prediction"}:
        value = value[:SHORT]
    return Text.assemble(cell(report["kind"], "bold"), " ", cell(value))


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and names; what lies below Conveyor's own prefix is no name for people."""
    for kind in _FACTS:
        given = [v for v in report["facts"].get(kind, ()) if not v.startswith(RESERVED)]
        if given:
            yield kind, ", ".join(v if kind in _WHOLE else v[:SHORT] for v in given)


def _trees(nodes: Sequence[Node], *, hidden: Collection[str]) -> list[Tree]:
    """Return where what was asked for came from, it included, and what it led to, without it."""
    known = {node["seq"]: node for node in nodes}
    effects: dict[int, list[Node]] = {}
    for node in nodes:
        for cause in node["causes"]:
            effects.setdefault(cause, []).append(node)

    def up(node: Node) -> list[Node]:
        # The latest cause first: it has the longest story, and what it tells is not told again.
        found = [known[seq] for seq in sorted(node["causes"], reverse=True) if seq in known]
        return _visible([each for each in found if each["direction"] == "up"], up)

    def down(node: Node) -> list[Node]:
        found = effects.get(node["seq"], [])
        return _visible([each for each in found if each["direction"] == "down"], down)

    def _visible(found: list[Node], step: Callable[[Node], list[Node]]) -> list[Node]:
        """Put in place of what is hidden what lies behind it."""
        return [
            shown for each in found for shown in (step(each) if each["type"] in hidden else [each])
        ]

    here = [node for node in nodes if node["direction"] == "here" and node["type"] not in hidden]
    led = {each["seq"]: each for node in here for each in down(node)}
    trees = []
    if here:
        trees.append(_tree("it came from", [node for node in here if up(node)] or here, up))
    if led:
        trees.append(_tree("it led to", [led[seq] for seq in sorted(led)], down))
    return trees


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
