"""The cluster that the tests run on: brought up by the folder that CONVEYOR_TEST_CLUSTER names.

The folder has the programs `up`, `env`, `build-image`, `load`, `minio` and `restart`; instead of it a
KUBECONFIG of one's own may be given, with the variables that `env` would print.
"""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HELP = (
    "no cluster is given: set CONVEYOR_TEST_CLUSTER to a folder with the programs up, env, "
    "build-image, load, minio and restart, or KUBECONFIG together with CONVEYOR_TEST_INGRESS, "
    "CONVEYOR_TEST_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, CONVEYOR_TEST_POSTGRES, "
    "CONVEYOR_TEST_IMAGES (NAME:TAG's tag) and CONVEYOR_TEST_HOST (this machine, as pods see it)"
)
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A cluster that answers. tools is None where it is somebody's own; host is this machine as pods
    see it, listen the address that it listens on for them.
    """

    environment: Mapping[str, str]
    tools: Path | None
    host: str
    listen: str

    @property
    def ingress(self) -> str:
        """The URL that takes requests for all services, by their Host."""
        return self.environment["CONVEYOR_TEST_INGRESS"]

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it printed."""
        done = subprocess.run(
            ["kubectl", *arguments],
            env=dict(self.environment),
            input=given,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and done.returncode:
            msg = f"kubectl {' '.join(arguments)}: {done.stderr.strip()}"
            raise AssertionError(msg)
        return done.stdout

    def tool(self, name: str, *arguments: str, **variables: str) -> str:
        """Run one of the folder's programs."""
        if self.tools is None:
            msg = f"{name} needs the folder that CONVEYOR_TEST_CLUSTER names"
            raise AssertionError(msg)
        return run(self.tools / name, *arguments, environment={**os.environ, **variables})


def open_machine(environment: Mapping[str, str]) -> Machine:
    """Return the cluster, brought up where it is ours and does not answer; raises RuntimeError."""
    folder = environment.get("CONVEYOR_TEST_CLUSTER")
    if not folder:
        if "KUBECONFIG" not in environment or "CONVEYOR_TEST_HOST" not in environment:
            raise RuntimeError(HELP)
        host = environment["CONVEYOR_TEST_HOST"]
        return Machine(environment=environment, tools=None, host=host, listen=host)
    tools = Path(folder).resolve()
    found = {**environment, **_variables(tools)}
    made = Machine(
        environment=found, tools=tools, host="host.conveyor.test", listen="10.99.0.2"
    )
    if not _answers(made):
        run(tools / "up")
    return made


def _answers(machine: Machine) -> bool:
    try:
        return "Ready" in machine.kubectl("get", "nodes", "--request-timeout=5s")
    except (AssertionError, FileNotFoundError):
        return False


def _variables(tools: Path) -> dict[str, str]:
    """Return what `env` prints, as a shell would understand it."""
    printed = run(tools / "env")
    given = subprocess.run(
        ["bash", "-c", f"{printed}\nenv -0"], check=True, capture_output=True, text=True
    ).stdout
    return dict(line.split("=", 1) for line in given.split("\0") if "=" in line)


def run(
    program: Path, *arguments: str, environment: Mapping[str, str] | None = None, seconds: int = 900
) -> str:
    """Run a program; raises AssertionError with the end of what it said where it fails."""
    done = subprocess.run(
        [str(program), *arguments],
        cwd=CHECKOUT,
        env=dict(environment) if environment else None,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        msg = f"{shlex.join([str(program), *arguments])} ended with {done.returncode}:\n{said}"
        raise AssertionError(msg)
    return done.stdout
