"""`conveyor deploy`: bring a line onto a cluster, or show what that would change."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from conveyor.cli.cluster import with_cluster
from conveyor.cli.progress import Progress
from conveyor.cli.session import line_folder
from conveyor.deploy import deployment, reaching
from conveyor.deploy.credentials import Secret, mark, shared, values_of, wanted
from conveyor.deploy.inputs import complete
from conveyor.deploy.kinds import NAMESPACE, SECRET
from conveyor.deploy.lock import held
from conveyor.deploy.notifications import notify
from conveyor.deploy.objects import Objects
from conveyor.deploy.placing import marked, place
from conveyor.deploy.rendering import render
from conveyor.deploy.wishes import Namespaces, Wish, check, settings_of
from conveyor.errors import NotFound, Rejected
from conveyor.settings import S3Settings

_FILES = {"CONVEYOR_GIT_KEY": "git_key", "CONVEYOR_GIT_KNOWN_HOSTS": "git_known_hosts"}
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Credentials come from the environment and become Secrets; what is there already is kept:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY          the bucket
  CONVEYOR_LEDGER                                   postgresql+psycopg://USER:PASSWORD@HOST/DATABASE
  CONVEYOR_GIT_USERNAME, CONVEYOR_GIT_PASSWORD      the repository, or --git-key
  CONVEYOR_{FETCH,STORE,SERVE}_AWS_ACCESS_KEY_ID... narrower keys for runs and models
\b
Examples:
  conveyor deploy --namespace demo --bucket data --s3-endpoint http://minio.example:9000 \\
    --git-remote https://git.example/me/shop.git --tag 3f1c2ab04d5e
  conveyor deploy --namespace demo --tag 8ae22f1b09c3 --dry-run
"""
)
@click.option("--namespace", required=True, help="Also makes NAMESPACE-jobs and NAMESPACE-models.")
@click.option(
    "--overlay", default="dev", show_default=True, help="dev, kafka, gpu, prod, or ./DIR."
)
@click.option("--line", envvar="CONVEYOR_LINE", help="The line's name.")
@click.option("--git-remote", envvar="CONVEYOR_GIT_REMOTE", help="The line's repository.")
@click.option("--git-branch", envvar="CONVEYOR_GIT_BRANCH", help="Default: main.")
@click.option("--git-key", type=_PATH, help="A private SSH key of the repository.")
@click.option("--git-known-hosts", type=_PATH, help="The host keys of its server.")
@click.option("--bucket", envvar="CONVEYOR_BUCKET", help="The line's bucket.")
@click.option("--s3-endpoint", envvar="CONVEYOR_S3_ENDPOINT", help="As pods reach it.")
@click.option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="The bucket's region.")
@click.option("--image-registry", help="Where the images lie: HOST/conveyor-line:TAG.")
@click.option("--tag", help="The images' tag.")
@click.option("--set", "extra", multiple=True, metavar="NAME=VALUE", help="Another setting.")
@click.option("--ingress", help="The ingress's address where the API's name does not resolve.")
@click.option("--notifications", metavar="ARN", help="Let the bucket notify this target.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--force", is_flag=True, help="Take over fields that someone else set.")
@click.option("--wait/--no-wait", default=True, help="Wait until all of it works.")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait.")
@with_cluster
def deploy(objects: Objects, *, namespace: str, as_json: bool, **asked: Any) -> None:
    """Bring a line onto a cluster; again with other settings or images to change it."""
    wish = _wish(objects, Namespaces(line=namespace), asked)
    secrets = wanted(wish.namespaces, _given(asked), lambda *place: _secret(objects, *place))
    placed = marked(place(render(wish), wish.namespaces), mark(secrets))
    progress = Progress(as_json=as_json)
    if asked["dry_run"]:
        planned = deployment.plan(placed, objects, wish.namespaces, force=asked["force"])
        progress.planned(planned)
        return
    _deploy(objects, wish, placed, secrets, asked=asked, progress=progress)


def _deploy(  # noqa: PLR0913  (one deployment has as many parts)
    objects: Objects,
    wish: Wish,
    placed: tuple[dict[str, Any], ...],
    secrets: tuple[Secret, ...],
    *,
    asked: dict[str, Any],
    progress: Progress,
) -> None:
    force, patience = asked["force"], timedelta(seconds=asked["timeout"])
    for each in placed:
        if each["kind"] == NAMESPACE.name:
            objects.apply(each, force=force)
    with held(objects, wish.namespaces.line, patience=patience, told=progress.note) as lock:
        deployment.store(secrets, objects)
        planned = deployment.plan(placed, objects, wish.namespaces, force=force)
        progress.begin(planned)
        for stage in deployment.stages(placed):
            deployment.apply(planned, objects, force=force, told=progress.applied, only=stage)
            if asked["wait"]:
                deployment.wait(
                    stage, objects, within=patience, told=progress.ready, tick=lock.renew
                )
        if asked["wait"]:
            deployment.prune(planned, objects, told=progress.applied)
    if roles := shared(secrets):
        progress.note(
            f"note: {', '.join(roles)} use the line's own key of the bucket; narrower ones: "
            "docs/cluster.md"
        )
    if asked["notifications"]:
        _notify(wish, secrets, asked["notifications"], progress)
    address = reaching.find(objects, wish.namespaces, asked["ingress"])
    file = reaching.write(address, secrets, line_folder(Path.cwd()) or Path.cwd())
    progress.end(planned, address, file)


def _wish(objects: Objects, namespaces: Namespaces, asked: dict[str, Any]) -> Wish:
    given = {
        "CONVEYOR_LINE": asked["line"],
        "CONVEYOR_GIT_REMOTE": asked["git_remote"],
        "CONVEYOR_GIT_BRANCH": asked["git_branch"],
        "CONVEYOR_BUCKET": asked["bucket"],
        "CONVEYOR_S3_ENDPOINT": asked["s3_endpoint"],
        "AWS_REGION": asked["region"],
    }
    settings = complete(
        settings_of(given, asked["extra"]),
        objects=objects,
        namespaces=namespaces,
        folder=line_folder(Path.cwd()),
        registry=asked["image_registry"],
        tag=asked["tag"],
        own="/" in asked["overlay"],
    )
    wish = Wish(namespaces=namespaces, overlay=asked["overlay"], settings=settings)
    check(wish)
    return wish


def _given(asked: dict[str, Any]) -> dict[str, str]:
    """Return the environment with the content of the files that are named."""
    given = dict(os.environ)
    for name, option in _FILES.items():
        if asked[option] is not None:
            try:
                given[name] = asked[option].read_text(encoding="ascii")
            except (OSError, UnicodeError) as error:
                raise Rejected(f"{asked[option]} cannot be read: {error}") from error
    return given


def _secret(objects: Objects, namespace: str, name: str) -> dict[str, str]:
    try:
        return values_of(objects.get(SECRET, namespace, name))
    except NotFound:
        return {}


def _notify(wish: Wish, secrets: tuple[Secret, ...], arn: str, progress: Progress) -> None:
    key = next(each.values for each in secrets if each.name == "line-s3")
    settings = {**wish.settings, **key}
    bucket = settings["CONVEYOR_BUCKET"].removeprefix("s3://").strip("/")
    changed = notify(S3Settings.from_env(settings, bucket=bucket), arn)
    progress.note(f"bucket {bucket} {'now notifies' if changed else 'notifies'} {arn}")
