from pathlib import Path

import click
import pytest

from conveyor.cli.main import COMMANDS, Commands, cli

DOCS = Path(__file__).parents[3] / "docs"
SHARED = {"--json", "--url", "--token", "--host", "--help"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_the_document_names_every_command_with_its_options(name):
    command = Commands().get_command(click.Context(cli), name)
    commands = [command, *getattr(command, "commands", {}).values()]
    options = {o for c in commands for p in c.params for o in p.opts if o.startswith("--")}
    text = (DOCS / "cli.md").read_text()
    rows = " ".join(row for row in text.splitlines() if row.startswith(f"| `{name}"))
    assert not {option for option in options - SHARED if option not in rows}


def test_the_document_has_the_exit_codes():
    text = (DOCS / "cli.md").read_text()
    assert all(f"| {code} |" in text for code in range(5))
