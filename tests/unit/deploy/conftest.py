"""The overlays as kustomize renders them, once for all tests."""

import functools
import subprocess
from pathlib import Path

import pytest

from conveyor.deploy.rendering import read_objects

ROOT = Path(__file__).parents[3]
KUSTOMIZE = ROOT / ".tools" / "kustomize"


@functools.cache
def render(overlay):
    if not KUSTOMIZE.exists():
        pytest.fail(f"{KUSTOMIZE} is not there: make tools")
    command = [KUSTOMIZE, "build", ROOT / "knative" / "overlays" / overlay]
    return read_objects(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture(params=["dev", "kafka", "gpu", "prod"])
def overlay(request):
    return render(request.param)


@pytest.fixture
def dev():
    return render("dev")


@pytest.fixture
def kafka():
    return render("kafka")
