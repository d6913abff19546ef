"""The Kubernetes API in memory and, with --cluster, a real one, each with a namespace to use."""

import os
import secrets

import pytest

from conveyor.knative.client import KubernetesCluster
from conveyor.knative.connection import ClusterSettings
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.resources import NAMESPACE


@pytest.fixture(params=["memory", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def cluster(request):
    if request.param == "memory":
        yield MemoryCluster()
        return
    opened = KubernetesCluster(ClusterSettings.from_env(os.environ))
    yield opened
    opened.close()


@pytest.fixture
def namespace(cluster):
    """A namespace of its own."""
    if isinstance(cluster, MemoryCluster):
        yield "here"
        return
    name = f"client-{secrets.token_hex(4)}"
    cluster.create(NAMESPACE, "", {"metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACE, "", name)
