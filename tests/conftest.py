"""The option --cluster: tests that need a cluster with Knative are collected only with it."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("line", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("line")

HOW = (
    "--cluster needs a cluster: set KUBECONFIG (with CONVEYOR_TEST_INGRESS, "
    "CONVEYOR_TEST_S3_ENDPOINT and AWS_* keys where a test asks for them), or "
    "CONVEYOR_TEST_CLUSTER to a folder with the programs up, env, build-image and load"
)


def pytest_addoption(parser):
    parser.addoption("--cluster", action="store_true", help="also test on the cluster that is up")


def pytest_configure(config):
    if config.getoption("--cluster") and not os.environ.get("KUBECONFIG"):
        for name, value in cluster_environment().items():
            os.environ[name] = value if name == "PATH" else os.environ.get(name, value)


def cluster_environment():
    """Return what CONVEYOR_TEST_CLUSTER's program `env` exports."""
    folder = os.environ.get("CONVEYOR_TEST_CLUSTER", "")
    if not folder:
        raise pytest.UsageError(HOW)
    script = f'eval "$({shlex.quote(str(Path(folder) / "env"))})" && env -0'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    if done.returncode:
        raise pytest.UsageError(f"{HOW}; {done.stderr.decode(errors='replace')[:500]}")
    pairs = (each.partition("=") for each in done.stdout.decode().split("\0") if each)
    return {name: value for name, _, value in pairs if name not in {"PWD", "SHLVL", "_"}}


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked `cluster` unless asked for: it is no skip, `make test` is whole."""
    if config.getoption("--cluster"):
        return
    left_out = [item for item in items if item.get_closest_marker("cluster")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("cluster")]
