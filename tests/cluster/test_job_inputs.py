"""What a run is given in its pod: a commit, an environment, and its turn."""

import base64
import functools
import http.server
import subprocess
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from deployment.machine import CHECKOUT
from servers.git_http import GitServer
from servers.job_place import job_place, wait_for

from conveyor.domain.jobs import SUCCEEDED, JobSpec, Limits
from conveyor.knative.resources import CONFIG_MAP, SECRET

WHERE = "import sys; print(sys.prefix)"


def run(key: str, code: str, owner: str = "", **given) -> JobSpec:
    return JobSpec(
        kind="train",
        key=key,
        owner=owner or key,
        command=("python", "job.py"),
        files={"job.py": code.encode()},
        limits=Limits(timeout=timedelta(minutes=2), memory=256 * 2**20, disk=100 * 2**20),
        **given,
    )


@pytest.fixture(scope="module")
def place(machine, tag):
    with job_place(tag) as made:
        yield made


def told(place, name: str, **more: str) -> str:
    """Make a variant of what the steps are told, and return its name."""
    data = {**place.cluster.get(CONFIG_MAP, place.space, "line")["data"], **more}
    place.cluster.create(CONFIG_MAP, place.space, {"metadata": {"name": name}, "data": data})
    return name


def end_of(place, key: str):
    def look():
        return [result for result in place.jobs().ended() if result.key == key]

    return wait_for(look, 180)[0]


@pytest.fixture
def served(machine, tmp_path):
    """A repository with one commit, behind a password."""
    server = GitServer(tmp_path / "served", host=machine.listen)
    clone = tmp_path / "clone"
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["clone", "-q", server.repository, clone],
        ["-C", clone, "checkout", "-q", "-B", "main"],
    ):
        subprocess.run(["git", *command], check=True, capture_output=True)
    (clone / "hello.txt").write_text("from the commit\n")
    for command in (["add", "-A"], [*who, "commit", "-qm", "x"], ["push", "-q", "origin", "main"]):
        subprocess.run(["git", "-C", clone, *command], check=True, capture_output=True)
    head = ["git", "-C", clone, "rev-parse", "HEAD"]
    server.commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    yield server
    server.close()


def test_a_commit_is_laid_out_by_a_password_that_the_work_never_sees(place, machine, served):
    config = told(place, "git", CONVEYOR_GIT_REMOTE=f"http://{machine.host}:{served.port}/line.git")
    keys = place.cluster.get(SECRET, place.space, "fetch")["data"]
    given = {"CONVEYOR_GIT_USERNAME": served.user, "CONVEYOR_GIT_PASSWORD": served.password}
    more = {name: base64.b64encode(value.encode()).decode() for name, value in given.items()}
    secret = {"metadata": {"name": "git"}, "data": {**keys, **more}}
    place.cluster.create(SECRET, place.space, secret)
    code = "import os; print(open('hello.txt').read(), os.path.exists('.git'), dict(os.environ))"
    place.jobs(config=config, reads="git").ensure(run("commit", code, checkout=served.commit))
    result = end_of(place, "commit")
    assert result.state == SUCCEEDED
    assert result.log.startswith("from the commit\n False")
    assert served.password not in result.log


def test_requirements_that_the_image_was_built_with_are_there_at_once(place):
    text = (CHECKOUT / "models/wine/requirements.txt").read_text()
    place.jobs().ensure(run("baked", WHERE, requirements=text))
    assert end_of(place, "baked").log == "/opt/conveyor/environment\n"


@pytest.fixture
def index(machine, tmp_path):
    """A package index with one tiny wheel."""
    info, folder = "grapes-1.2.dist-info", tmp_path / "simple/grapes"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "grapes-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("grapes.py", "COLOUR = 'red'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: grapes\nVersion: 1.2\n")
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", kind)
        wheel.writestr(f"{info}/RECORD", f"grapes.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer((machine.listen, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{machine.host}:{server.server_port}/simple"
        server.shutdown()


def test_other_requirements_get_an_environment_that_the_first_step_makes(place, index):
    config = told(place, "wheels", UV_DEFAULT_INDEX=index)
    code = "import grapes, importlib.util as u; print(grapes.COLOUR, u.find_spec('dvc'))"
    place.jobs(config=config).ensure(run("made", code, requirements="grapes==1.2\n"))
    result = end_of(place, "made")
    assert result.state == SUCCEEDED
    assert result.log.endswith("red None\n")


def test_requirements_that_cannot_be_met_are_the_runs_failure(place, index):
    config = told(place, "wheels-again", UV_DEFAULT_INDEX=index)
    place.jobs(config=config).ensure(run("unmet", WHERE, requirements="grapes==9.9\n"))
    assert "grapes==9.9" in end_of(place, "unmet").reason


def test_many_replicas_at_once_start_one_run_of_an_owner(place):
    code = "import time; time.sleep(120)"

    def ask(number: int) -> None:
        place.jobs().ensure(run(f"once-{number}", code, owner="wine"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(16)))
    place.jobs().ended()
    running = [job for job in place.jobs().running() if job.owner == "wine"]
    waiting = [job for job in running if job.reason == "another run goes first"]
    assert (len(running), len(waiting)) == (2, 1)
    for job in running:
        place.jobs().cancel(job.key)
