"""The table of commands; a module is imported when its command is called: starting is fast."""

import sys
from importlib import import_module

import click

from conveyor.cli.client import NotReachable, TimedOut
from conveyor.cli.show import complain
from conveyor.errors import ConveyorError

COMMANDS = {
    "init": ("conveyor.cli.init:init", "Make a new line that runs at once."),
    "validate": ("conveyor.cli.validate:validate", "Check a line's files before you push."),
    "up": ("conveyor.cli.up:up", "Run a line on this machine."),
    "status": ("conveyor.cli.status:status", "Show where each thing is and what it waits for."),
    "put": ("conveyor.cli.put:put", "Upload a file, and follow what it leads to."),
    "predict": ("conveyor.cli.predict:predict", "Ask a model."),
    "events": ("conveyor.cli.events:events", "Show what happened, as a story."),
    "trace": ("conveyor.cli.trace:trace", "Show where a thing came from and what came of it."),
    "rollouts": ("conveyor.cli.rollouts:rollouts", "Show rollouts, or tell the judge what to do."),
    "releases": ("conveyor.cli.releases:releases", "List the releases of models."),
    "logs": ("conveyor.cli.logs:logs", "Show the output of a run."),
    "dead-letters": ("conveyor.cli.letters:dead_letters", "List what was given up, and why."),
    "replay": ("conveyor.cli.letters:replay", "Deliver a dead letter again."),
    "reconcile": ("conveyor.cli.letters:reconcile", "Look now at what may have been missed."),
    "deploy": ("conveyor.cli.deploy:deploy", "Bring a line onto a cluster, or change it there."),
    "destroy": ("conveyor.cli.destroy:destroy", "Take a line off a cluster."),
    "doctor": ("conveyor.cli.doctor:doctor", "Look what a cluster lacks for a line."),
    "completion": ("conveyor.cli.completion:completion", "Print a shell's completion script."),
    "demo": ("conveyor.cli.demo:demo", "Run the line on real data in front of your eyes."),
}
"""Name -> where it is and what it does; the only imports inside a function are made from this."""

REFUSED, NOT_REACHABLE, TIMED_OUT = 1, 3, 4

_EPILOG = """\b
Exit codes:
  0  done
  1  refused or failed; the message says why
  2  wrong usage
  3  no engine answers
  4  it took longer than --timeout
\b
A first line:
  conveyor init shop && cd shop
  conveyor up &
  conveyor put data/examples/first.csv shop/shop.csv --wait
  conveyor status
"""


class Commands(click.Group):
    """A group that imports a command when it is called, and turns our errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its module; None where there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with what they do, without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error of ours becomes a message and the exit code it stands for."""
        try:
            return super().invoke(ctx)
        except ConveyorError as error:
            complain(str(error))
            ctx.exit(exit_code(error))
        except KeyboardInterrupt:
            ctx.exit(130)


def exit_code(error: ConveyorError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, NotReachable):
        return NOT_REACHABLE
    return TIMED_OUT if isinstance(error, TimedOut) else REFUSED


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="conveyor-line", prog_name="conveyor")
def cli() -> None:
    """Push data, a commit or nothing at all, and get a safe new model in production."""


def main() -> None:
    """Run the command line: the entry point of the program."""
    cli(prog_name="conveyor")
    sys.exit(0)
