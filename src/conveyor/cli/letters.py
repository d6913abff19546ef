"""`conveyor dead-letters`, `replay` and `reconcile`: what was given up, and trying again."""

import click

from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import ago, console, print_json, say, table


@click.command(
    "dead-letters",
    epilog="""\b
Examples:
  conveyor dead-letters
  conveyor dead-letters --json | jq '.letters[].reason'
""",
)
@with_engine
def dead_letters(session: Session) -> None:
    """List what was given up, the newest first, each with the reason.

    What an outage interrupted is tried again by itself, at the time that "again" gives.
    """
    found = session.client.dead_letters()
    if session.json:
        print_json(found)
        return
    if not found["letters"]:
        say("no dead letters")
        return
    rows = (
        (
            each["event"]["id"][:12],
            each["station"],
            each["event"]["story"],
            f"{each['code']} after {each['attempts']}",
            ago(each["at"]),
            ago(each["again"]),
            each["reason"],
        )
        for each in found["letters"]
    )
    columns = ("event", "station", "what", "status", "when", "again", "reason")
    console().print(table("", columns, rows))
    say("mend the cause, then: conveyor replay EVENT (or wait for the time in again)", style="dim")


@click.command(
    epilog="""\b
Examples:
  conveyor replay 3f1c2ab0
  conveyor replay 3f1c2ab0 --station build
"""
)
@click.argument("event")
@click.option("--station", help="Only for this station.")
@with_engine
def replay(session: Session, event: str, station: str | None) -> None:
    """Deliver a dead letter again, with its own id; EVENT may be cut to 8 characters."""
    done = session.client.replay(event, station)
    if session.json:
        print_json(done)
        return
    say(f"{done['event'][:12]} is delivered again; see: conveyor events --follow")


@click.command(
    epilog="""\b
Example:
  conveyor reconcile
"""
)
@with_engine
def reconcile(session: Session) -> None:
    """Look now at bucket and repository, and publish again what is owed.

    The engine does this by itself each minute.
    """
    done = session.client.reconcile()
    if session.json:
        print_json(done)
        return
    say(f"looked at bucket and repository; {done['published']} events were published again")
