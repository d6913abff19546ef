"""Puts the tests' rooms on the path, and says what they need: benchmarks deploy lines as tests do.

Needs CONVEYOR_TEST_CLUSTER, the folder of the cluster's programs, whose program `env` gives the
rest: KUBECONFIG, CONVEYOR_TEST_INGRESS, CONVEYOR_TEST_S3_ENDPOINT, CONVEYOR_TEST_POSTGRES and AWS_*
keys. Images of all families must be on the node.
"""

import os
import sys
from pathlib import Path

NEEDED = (
    *("CONVEYOR_TEST_CLUSTER", "KUBECONFIG", "CONVEYOR_TEST_INGRESS", "CONVEYOR_TEST_S3_ENDPOINT"),
    *("CONVEYOR_TEST_POSTGRES", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


def check() -> None:
    """End with how to get it where something of the environment lacks."""
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        sys.exit(f"not set: {', '.join(missing)}\n{__doc__}")
