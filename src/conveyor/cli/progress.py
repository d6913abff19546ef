"""Tells of a deployment while it goes on: a line for each thing that happens, or JSON at last."""

from pathlib import Path
from typing import Any

from conveyor.cli.show import print_json, say
from conveyor.deploy.deployment import Plan
from conveyor.deploy.differences import Change
from conveyor.deploy.kinds import Name
from conveyor.deploy.reaching import Address

_STYLE = {"create": "green", "change": "yellow", "keep": "dim", "remove": "red"}
_WORDS = {"create": "created", "change": "changed", "keep": "as it was", "remove": "removed"}
_UNREACHED = """\
the API's name does not resolve here and no gateway has an address; for one on your machine:
  kubectl port-forward -n kourier-system svc/kourier 8080:80 &
  conveyor deploy --namespace ... --ingress http://127.0.0.1:8080"""


class Progress:
    """What is told; with as_json only one JSON value, at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Tell something by the way."""
        self._notes.append(text)
        self._say(text, "dim")

    def planned(self, plan: Plan) -> None:
        """Tell what a deployment would do."""
        if self._json:
            changes = [each.to_json() for each in plan.changes]
            print_json({"plan": plan.verbs, "changes": changes})
            return
        for change in plan.changes:
            if change.verb != "keep":
                self._say(f"{change.verb:>7}  {change.name}", _STYLE[change.verb])
                for field in change.fields:
                    self._say(f"         {field}", "dim")
        self._say(_summary(plan, "would be"), "bold")

    def begin(self, plan: Plan) -> None:
        """Tell what will be done."""
        self._say(_summary(plan, "to be"), "bold")

    def applied(self, change: Change) -> None:
        """Tell of one object."""
        if change.verb != "keep":
            self._say(f"  {change.name} {_WORDS[change.verb]}", _STYLE[change.verb])

    def ready(self, name: Name, reason: str) -> None:
        """Tell that an object works, or why not yet."""
        if reason:
            self._say(f"  {name} waits: {reason[:200]}", "yellow")
        else:
            self._say(f"  {name} is ready", "green")

    def end(self, plan: Plan, address: Address, file: Path | None) -> None:
        """Tell how to go on."""
        if self._json:
            reached: dict[str, Any] = {"url": address.url, "host": address.host}
            told = str(file) if file else None
            print_json({"done": plan.verbs, "api": reached, "file": told, "notes": self._notes})
            return
        if file is None:
            self._say(_UNREACHED, "yellow")
            return
        host = f" (Host: {address.host})" if address.host else ""
        self._say(f"the API answers at {address.url}{host}; its token is in {file}", "bold")
        self._say("next: conveyor status")

    def _say(self, text: str, style: str = "") -> None:
        if not self._json:
            for line in text.splitlines():
                say(line, style)


def _summary(plan: Plan, verb: str) -> str:
    counts = plan.verbs
    parts = [
        f"{counts[kind]} {verb} {_WORDS[kind]}"
        for kind in ("create", "change", "remove")
        if counts[kind]
    ]
    return ", ".join([*parts, f"{counts['keep']} as they are"])
