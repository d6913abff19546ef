"""`conveyor doctor`: look what a cluster lacks, before anything is applied."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from conveyor.cli.cluster import with_cluster
from conveyor.cli.session import line_folder
from conveyor.cli.show import print_json, say
from conveyor.deploy.credentials import values_of
from conveyor.deploy.examination import examine
from conveyor.deploy.findings import FAIL, Finding
from conveyor.deploy.inputs import known
from conveyor.deploy.kinds import SECRET
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces, settings_of
from conveyor.errors import ConveyorError

_STYLE = {"ok": "green", "warn": "yellow", "fail": "red"}
_KAFKA = {"kafka", "prod"}


@click.command(
    epilog="""\b
Exit code 1 says that something is missing without which no line works.
\b
Examples:
  conveyor doctor --namespace demo --bucket data --s3-endpoint http://minio.example:9000
  conveyor doctor --overlay kafka --json | jq '.findings[] | select(.state != "ok")'
"""
)
@click.option("--namespace", default="conveyor", show_default=True, help="Where the line goes.")
@click.option("--overlay", default="dev", show_default=True, help="dev, kafka, gpu or prod.")
@click.option("--bucket", envvar="CONVEYOR_BUCKET", help="The line's bucket.")
@click.option("--s3-endpoint", envvar="CONVEYOR_S3_ENDPOINT", help="As this machine reaches it.")
@with_cluster
def doctor(  # noqa: PLR0913  (click's options)
    objects: Objects,
    *,
    namespace: str,
    overlay: str,
    bucket: str | None,
    s3_endpoint: str | None,
    as_json: bool,
) -> None:
    """Look what the cluster lacks for a line, and say how to get it."""
    namespaces = Namespaces(line=namespace)
    given = settings_of({"CONVEYOR_BUCKET": bucket, "CONVEYOR_S3_ENDPOINT": s3_endpoint})
    settings = {**_known(objects, namespaces), **given}
    broker = "Kafka" if overlay in _KAFKA else "MTChannelBasedBroker"
    found: list[Finding] = []
    for each in examine(objects, namespaces, settings, broker=broker):
        found.append(each)
        if not as_json:
            _tell(each)
    if as_json:
        print_json({"findings": [each.to_json() for each in found]})
    if any(each.state == FAIL for each in found):
        sys.exit(1)


def _known(objects: Objects, namespaces: Namespaces) -> dict[str, str]:
    """Return what is known of the line's settings, and a key of its bucket."""
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with suppress(ConveyorError):
        keys = {**keys, **known(objects, namespaces, line_folder(Path.cwd()))}
        keys = {**keys, **values_of(objects.get(SECRET, namespaces.line, "line-s3"))}
    return keys


def _tell(each: Finding) -> None:
    say(f"{each.state:>5}  {each.what}: {each.found}", _STYLE[each.state])
    if each.remedy:
        say(f"       -> {each.remedy}", "dim")
