"""`conveyor init`: make a new line that runs at once."""

import re
import shlex
from pathlib import Path

import click

from conveyor.cli.show import print_json, say
from conveyor.scaffold import TEMPLATES
from conveyor.scaffold import init as scaffold


@click.command(
    epilog="""\b
Examples:
  conveyor init shop
  conveyor init prices --template regression
"""
)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--template",
    "-t",
    type=click.Choice(TEMPLATES),
    default=TEMPLATES[0],
    show_default=True,
    help="What kind of model it makes first.",
)
@click.option("--name", help="The line's name.  [default: the folder's]")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
def init(directory: Path, *, template: str, name: str | None, as_json: bool) -> None:
    """Make a new line in DIRECTORY, under Git, that runs at once; files are never overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    name = name or _name(directory)
    paths = scaffold(directory, template=template, name=name)
    if as_json:
        print_json({"directory": str(directory), "name": name, "created": paths})
        return
    for path in paths:
        say(f"  {directory / path}", style="dim")
    say(f"the line {name} is ready. Now:")
    for step in _steps(directory, name):
        say(f"  {step}")


def _steps(directory: Path, name: str) -> tuple[str, ...]:
    """Return what to type next, to the first prediction."""
    return (
        f"cd {shlex.quote(str(directory))}",
        "conveyor up                    (leave it running; the rest in another terminal)",
        f"conveyor put data/examples/first.csv {name}/{name}.csv --wait",
        f"conveyor predict {name} --rows data/holdout.csv",
        "conveyor status",
    )


def _name(directory: Path) -> str:
    """Return the folder's name as a line may be named."""
    name = re.sub(r"[^a-z0-9]+", "-", directory.resolve().name.lower()).strip("-")
    return re.sub(r"^[^a-z]+", "", name)[:40] or "line"
