"""What `deploy`, `destroy` and `doctor` share: their cluster, and how they name it."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from conveyor.deploy.objects import ClusterObjects
from conveyor.knative.connection import ClusterSettings, Connection

R = TypeVar("R")

_DEFAULT = "~/.kube/config"


def with_cluster(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the cluster's objects first, and the options that name the cluster."""

    @click.option("--kubeconfig", type=click.Path(path_type=Path), help="Default: KUBECONFIG.")
    @click.option("--context", help="A context of the kubeconfig file.")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
    @functools.wraps(command)
    def wrapped(*args: Any, kubeconfig: Path | None, context: str | None, **kwargs: Any) -> R:
        with opened(kubeconfig, context) as objects:
            return command(objects, *args, **kwargs)

    return wrapped


@contextmanager
def opened(kubeconfig: Path | None, context: str | None) -> Iterator[ClusterObjects]:
    """Open the cluster that is named, else that of KUBECONFIG or ~/.kube/config."""
    environment = dict(os.environ)
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    elif not environment.get("KUBECONFIG") and (usual := Path(_DEFAULT).expanduser()).is_file():
        environment["KUBECONFIG"] = str(usual)
    if context:
        environment["CONVEYOR_KUBE_CONTEXT"] = context
    connection = Connection(ClusterSettings.from_env(environment))
    try:
        yield ClusterObjects(connection)
    finally:
        connection.close()
