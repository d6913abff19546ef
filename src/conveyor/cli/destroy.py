"""`conveyor destroy`: take a line off a cluster."""

from datetime import timedelta

import click

from conveyor.cli.cluster import with_cluster
from conveyor.cli.show import print_json, say
from conveyor.deploy import removal
from conveyor.deploy.lock import held
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import Rejected

_OUTSIDE = (
    "the bucket, with all data, releases and results",
    "the repository, with its history and tags",
    "the ledger's database",
)


@click.command(
    epilog="""\b
Examples:
  conveyor destroy --namespace demo              # deploy brings the same models back
  conveyor destroy --namespace demo --all --yes
"""
)
@click.option("--namespace", required=True, help="The line's namespace.")
@click.option("--all", "everything", is_flag=True, help="Its namespaces and Secrets too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait.")
@with_cluster
def destroy(  # noqa: PLR0913  (click's options)
    objects: Objects, *, namespace: str, everything: bool, yes: bool, timeout: int, as_json: bool
) -> None:
    """Take a line off the cluster; data, repository and ledger are never touched."""
    namespaces, patience = Namespaces(line=namespace), timedelta(seconds=timeout)
    found = removal.victims(objects, namespaces, everything=everything)
    if not found:
        raise Rejected(f"there is no line in {namespace}")
    if not yes:
        what = " and its namespaces with all Secrets" if everything else ""
        click.confirm(f"remove {len(found)} objects of {namespace}{what}?", abort=True)
    with held(objects, namespace, patience=patience, told=lambda text: say(text, "dim")):
        removal.remove(found, objects, told=lambda each: None if as_json else say(f"  {each}"))
    if everything:
        removal.wait_gone(objects, namespaces, within=patience)
    left = (*(() if everything else removal.kept(objects, namespaces)), *_OUTSIDE)
    if as_json:
        print_json({"removed": [str(each) for each in found], "left": list(left)})
        return
    say("left as they were:", "bold")
    for each in left:
        say(f"  {each}")
