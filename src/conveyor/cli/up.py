"""`conveyor up`: run a line on this machine."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import click

from conveyor.cli.session import line_folder
from conveyor.cli.show import say
from conveyor.embedded.engine import Engine, run
from conveyor.embedded.settings import EmbeddedSettings
from conveyor.settings import DEFAULT_PORT


@click.command(
    epilog="""\b
Examples:
  conveyor up
  conveyor up --port 0 --state /var/lib/conveyor
  conveyor up --bucket s3://data        (with CONVEYOR_S3_ENDPOINT and AWS_* set)
"""
)
@click.option(
    "--line",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The line's folder; the one around this folder unless given.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. Anything but loopback is open to the network.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    envvar="CONVEYOR_PORT",
    show_envvar=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the engine keeps its own.  [default: .conveyor]",
)
@click.option("--bucket", help="A folder or s3://NAME, instead of what conveyor.yaml says.")
@click.option("--verbose", "-v", is_flag=True, help="Log what is done in detail.")
def up(  # noqa: PLR0913 -- one per option
    folder: Path | None,
    host: str,
    port: int,
    state: Path | None,
    bucket: str | None,
    *,
    verbose: bool,
) -> None:
    """Run a line on this machine until Ctrl-C; what is in flight then ends first.

    It listens on loopback only unless told otherwise, and keeps its state in .conveyor/.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    line = folder or line_folder(Path.cwd()) or Path.cwd()
    settings = EmbeddedSettings.from_env(os.environ, line=line, state=state)
    run(
        replace(settings, host=host, port=port, bucket=bucket),
        on_ready=_greet,
        on_end=lambda: say(
            "stopping: requests in flight are answered, jobs go on at the next start ..."
        ),
    )
    say("stopped")


def _greet(engine: Engine) -> None:
    say(f"{engine.line.name} runs at {engine.url}")
    bucket = engine.bucket_folder or engine.settings.bucket or engine.line.bucket
    say(f"  put data into     {bucket}   (or: conveyor put FILE)")
    say(f"  push code with    git push conveyor {engine.line.git.branch}")
    say("  see what happens  conveyor status, conveyor events --follow")
    for fence in engine.containment:
        say(f"  foreign code      {fence}", style="dim")
