"""The cluster that the tests run on, brought up where the tests' own folder of programs can.

`--cluster` (tests/conftest.py) gives the environment: KUBECONFIG, CONVEYOR_TEST_INGRESS,
CONVEYOR_TEST_S3_ENDPOINT, CONVEYOR_TEST_POSTGRES and AWS_*. CONVEYOR_TEST_CLUSTER names the folder
with `up`, `load`, `minio` and `restart`.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ATTEMPTS = 60
AWAY = ("was refused", "Unable to connect", "EOF", "apiserver not ready", "forbidden: User")
"""What kubectl says while the API server is away or begins."""

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A cluster that answers.

    tools is None where it is somebody's own; host is this machine as pods see it, listen the
    address that it listens on for them.
    """

    environment: Mapping[str, str]
    tools: Path | None
    host: str
    listen: str

    @property
    def ingress(self) -> str:
        """The URL that takes requests for all services, by their Host."""
        return self.environment["CONVEYOR_TEST_INGRESS"]

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it printed; an API server that begins is waited for."""
        for _ in range(ATTEMPTS):
            try:
                return self._kubectl(*arguments, given=given)
            except AssertionError as error:
                if not any(word in str(error) for word in AWAY):
                    raise
            time.sleep(1)
        return self._kubectl(*arguments, given=given)

    def _kubectl(self, *arguments: str, given: str | None = None) -> str:
        return run("kubectl", *arguments, environment=self.environment, given=given, seconds=300)

    def tool(self, name: str, *arguments: str, **variables: str) -> str:
        """Run one of the folder's programs."""
        if self.tools is None:
            msg = f"{name} needs the folder that CONVEYOR_TEST_CLUSTER names"
            raise AssertionError(msg)
        return run(
            str(self.tools / name), *arguments, environment={**self.environment, **variables}
        )


def open_machine(environment: Mapping[str, str]) -> Machine:
    """Return the cluster, brought up where that is ours to do and it does not answer."""
    folder = environment.get("CONVEYOR_TEST_CLUSTER")
    host = environment.get("CONVEYOR_TEST_HOST", "host.conveyor.test")
    made = Machine(
        environment=environment,
        tools=Path(folder).resolve() if folder else None,
        host=host,
        listen=environment.get("CONVEYOR_TEST_LISTEN", "10.99.0.2"),
    )
    if made.tools and not _answers(made):
        made.tool("up")
    return made


def _answers(machine: Machine) -> bool:
    try:
        return " Ready" in machine._kubectl("get", "nodes", "--request-timeout=5s")
    except AssertionError:
        return False


def run(
    *command: str,
    environment: Mapping[str, str] | None = None,
    folder: Path = CHECKOUT,
    given: str | None = None,
    seconds: int = 1200,
) -> str:
    """Run a program, in the checkout if not said otherwise; a failure is told in its words."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment or os.environ),
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        msg = f"{shlex.join(command)} ended with {done.returncode}:\n{said}"
        raise AssertionError(msg)
    return done.stdout
