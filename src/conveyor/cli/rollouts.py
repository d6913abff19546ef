"""`conveyor rollouts`: see rollouts, and tell the judge what to do."""

import getpass
import time
from collections.abc import Mapping
from typing import Any

import click

from conveyor.cli.client import Client, TimedOut
from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import ago, cell, console, print_json, say, table
from conveyor.errors import Rejected

ACTIONS = ("promote", "pause", "resume", "abort", "rollback")


class Rollouts(click.Group):
    """A group whose first word may also be a model's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command for the model to list."""
        if args and args[0] not in self.commands:
            return super().resolve_command(ctx, ["list", *args])
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """List where nothing else is asked for; `--json` and the like belong to the list."""
        if not set(args) & {*self.commands, "-h", "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=Rollouts,
    epilog="""\b
Examples:
  conveyor rollouts wine
  conveyor rollouts pause wine --reason "the shop is closed"
  conveyor rollouts rollback wine --to v1.0.0
""",
)
def rollouts() -> None:
    """Show the rollouts of [MODEL], or tell the judge what to do with the open one."""


@rollouts.command("list")
@click.argument("model", required=False)
@click.option("--limit", "-n", type=click.IntRange(1), default=10, show_default=True)
@with_engine
def list_rollouts(session: Session, model: str | None, limit: int) -> None:
    """Show rollouts, the newest first, with the judge's decisions."""
    found = session.client.rollouts(model)
    if session.json:
        print_json(found)
        return
    if not found["rollouts"]:
        say("no rollout yet")
    for rollout in found["rollouts"][:limit]:
        _show(rollout)


def _show(rollout: Mapping[str, Any]) -> None:
    state = "paused" if rollout["paused"] else rollout["state"]
    name = rollout.get("tag") or f"{rollout['model']}: {rollout['candidate'][:12]}"
    say(
        f"{name} {state}, opened {ago(rollout['opened'])}"
        + (f"; {rollout['waits']}" if rollout["waits"] else ""),
        style="bold",
    )
    rows = (
        (ago(each["at"]), each["by"], each["outcome"], cell(each["reason"]))
        for each in rollout["decisions"]
    )
    console().print(table("", ("when", "by", "outcome", "why"), rows))


def _command(action: str, help_text: str) -> None:
    """Add the command of one action."""

    @click.argument("model")
    @click.option("--reason", help="Why, for those who read the story later.")
    @click.option("--by", default=None, help="Who asks.  [default: your user name]")
    @click.option(
        "--timeout",
        type=click.FloatRange(0),
        default=60,
        show_default=True,
        help="Seconds to wait for the judge; 0 does not wait.",
    )
    @with_engine
    def run(  # noqa: PLR0913 -- one per option
        session: Session,
        model: str,
        *,
        reason: str | None,
        by: str | None,
        timeout: float,
        to: str | None = None,
    ) -> None:
        given = {"by": by or getpass.getuser(), "reason": reason or "", "release": to or ""}
        asked = session.client.command(model, action, **{k: v for k, v in given.items() if v})
        _report(session, asked, timeout)

    if action == "rollback":
        to = click.option("--to", metavar="RELEASE", help="An earlier release, e.g. v1.0.0.")
        run = to(run)
    rollouts.command(action, help=help_text)(run)


def _report(session: Session, asked: Mapping[str, Any], timeout: float) -> None:
    answers = _await(session.client, asked["event"], timeout) if timeout else []
    if session.json:
        print_json({**asked, "events": answers})
        return
    for event in answers:
        say(event["story"])
    if not answers:
        say("the judge was told; see: conveyor rollouts")


def _await(client: Client, event: str, timeout: float) -> list[Mapping[str, Any]]:
    """Return what the judge answered; raises Rejected with its words where it refused."""
    end = time.monotonic() + timeout
    while True:
        found: list[Mapping[str, Any]] = client.events(0, correlation=event)["events"]
        told = next((each for each in found if each["id"] == event), None)
        for delivery in told["deliveries"] if told else ():
            if delivery["state"] == "dead":
                raise Rejected(delivery["reason"])
            if delivery["state"] == "done":
                return [each for each in found if each["id"] != event]
        if time.monotonic() > end:
            raise TimedOut(f"the judge did not answer within {timeout:.0f} s; it was told")
        time.sleep(0.1)


_command("promote", "Make the candidate the stable release now.")
_command("pause", "Hold the open rollout where it is, until it is resumed.")
_command("resume", "Go on with a paused rollout.")
_command("abort", "End the open rollout; all traffic goes back to the stable release.")
_command("rollback", "Go back: end the open rollout, or return to an earlier release.")
