"""Runs as real pods: every way to end, told apart in the user's words, and what hostile code finds.

They have a namespace of their own, beside the line of this folder's other tests.
"""

import json
from datetime import timedelta

import pytest
from servers.job_place import job_place, wait_for

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, SUCCEEDED, TIMED_OUT, JobSpec, Limits
from conveyor.knative.resources import CONFIG_MAP, QUOTA

GPUS = "nvidia.com/gpu"
NODE = "/api/v1/nodes/node/status"
SHORT = timedelta(seconds=15)
SLEEP = "import time; print('at work', flush=True); time.sleep({})"

HOSTILE = """
import glob, json, os, socket
found = {"environment": sorted(os.environ), "read": [], "connected": []}
places = ["/proc/1/environ", "/var/run/secrets/**", "/run/secrets/**", "/etc/conveyor/**",
    "/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/job/*", "/job/run/log", "/root/**",
    "/home/**", "/srv/**", "/scratch/**", "/etc/shadow"]
text = repr(dict(os.environ))
for place in places:
    for path in glob.glob(place, recursive=True):
        try:
            text += open(path, errors="replace").read()
            found["read"].append(path)
        except OSError:
            pass
for host, port in (("10.96.0.1", 443), ("10.99.0.1", 9000), ("169.254.169.254", 80)):
    try:
        socket.create_connection((host, port), 3)
        found["connected"].append(host)
    except OSError:
        pass
found["secret"] = any(word in text for word in ("conveyor-secret", "AWS_", "BEGIN", "eyJ"))
json.dump(found, open("out/report.json", "w"))
"""


def run(key: str, code: str = "pass", **limits) -> JobSpec:
    given = {"timeout": timedelta(minutes=2), "memory": 256 * 2**20, "disk": 100 * 2**20, **limits}
    return JobSpec(
        kind="train",
        key=key,
        owner=key,
        command=("python", "job.py"),
        files={"job.py": code.encode()},
        limits=Limits(**given),
    )


@pytest.fixture(scope="module")
def place(machine, tag):
    with job_place(tag) as made:
        yield made


@pytest.fixture(scope="module")
def evicted(place):
    """A run whose pod holds less than the run may write, asked for early: it takes a minute."""
    jobs = place.jobs(scratch_ceiling=20 * 2**20)
    code = "open('big', 'wb').write(b'x' * (60 * 2**20)); import time; time.sleep(300)"
    jobs.ensure(run("evicted", code, disk=2**30, timeout=timedelta(minutes=10)))
    return "evicted"


def end_of(place, key: str):
    """Look as reconcile does until a run has ended, and return how."""

    def look():
        return [result for result in place.jobs().ended() if result.key == key]

    return wait_for(look, 240)[0]


def reason_of(place, key: str) -> str:
    return next((job.reason for job in place.jobs().running() if job.key == key), "")


def phase_of(place, key: str) -> str:
    return next((job.phase for job in place.jobs().running() if job.key == key), "")


def test_what_a_run_made_and_said_is_stored(place, evicted):
    place.jobs().ensure(run("made", "print('hello'); open('out/model', 'w').write('m')"))
    result = end_of(place, "made")
    assert (result.state, result.log) == (SUCCEEDED, "hello\n")
    assert place.objects.read(result.outputs["model"]) == b"m"
    place.jobs().told("made")
    assert "made" not in [each.key for each in place.jobs().ended()]


def test_the_log_is_read_while_it_works(place):
    place.jobs().ensure(run("talks", SLEEP.format(30)))
    wait_for(lambda: place.jobs().read_log("talks") == (b"at work\n", 8))
    assert place.jobs().read_log("talks", 3) == (b"work\n", 8)
    place.jobs().cancel("talks")


def test_hostile_code_finds_no_credential_and_reaches_nothing(place):
    place.jobs().ensure(run("hostile", HOSTILE))
    found = end_of(place, "hostile").report
    assert found["secret"] is False
    assert found["connected"] == []
    assert not [path for path in found["read"] if not path.startswith("/proc/")]
    assert not [name for name in found["environment"] if "KUBERNETES" in name or "AWS" in name]


def test_the_work_has_no_token_and_runs_as_nobody(place):
    (pod,) = place.pods("hostile")
    work = pod["spec"]["initContainers"][-1]
    assert [mount["name"] for mount in work["volumeMounts"]] == ["job", "shared-memory"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 65532


def test_a_command_that_fails_is_told_by_its_last_line(place):
    place.jobs().ensure(run("raises", "raise ValueError('depth must be positive')"))
    result = end_of(place, "raises")
    assert result.state == FAILED
    assert result.reason == "training ended with exit code 1: ValueError: depth must be positive"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("greedy", "b = []\nwhile True: b.append(bytes(b'x' * 2**28))"),
        (
            "growing",
            "import time\nb = []\nwhile True: b.append(b'x' * 2**21 * 2); time.sleep(0.05)",
        ),
    ],
)
def test_memory_is_told_whether_we_or_the_kernel_saw_it_first(place, key, code):
    place.jobs().ensure(run(key, code))
    result = end_of(place, key)
    assert result.state == OUT_OF_MEMORY
    assert result.reason == "used more than 256 MiB of memory, see memory in conveyor.yaml"


def test_a_hung_command_is_ended_at_its_timeout(place):
    place.jobs().ensure(run("hangs", SLEEP.format(600), timeout=timedelta(seconds=5)))
    result = end_of(place, "hangs")
    assert (result.state, result.log) == (TIMED_OUT, "at work\n")
    assert "no end after 5s, see timeout in conveyor.yaml" in result.reason


def test_a_bucket_that_is_away_for_too_long_is_the_end(place):
    told = place.cluster.get(CONFIG_MAP, place.space, "line")["data"]
    away = {**told, "CONVEYOR_S3_ENDPOINT": "http://10.99.0.1:9"}
    place.cluster.create(CONFIG_MAP, place.space, {"metadata": {"name": "away"}, "data": away})
    place.jobs(config="away", margin=SHORT).ensure(run("late", timeout=timedelta(seconds=5)))
    result = end_of(place, "late")
    assert result.state == TIMED_OUT
    assert "the step fetch was not done long after the timeout of 5s" in result.reason


def test_an_image_that_is_not_there_is_said_while_it_waits_and_at_the_end(place):
    jobs = place.jobs(
        images={"train": "dev.local/nowhere:v1"}, margin=SHORT, longest_wait=timedelta(seconds=20)
    )
    jobs.ensure(run("imageless", timeout=timedelta(seconds=5)))
    words = wait_for(lambda: reason_of(place, "imageless"))
    assert "the image dev.local/nowhere:v1 cannot be had (" in words
    result = end_of(place, "imageless")
    assert result.state == FAILED
    assert "dev.local/nowhere:v1" in result.reason


def test_a_pod_that_the_namespace_forbids_is_said(place):
    place.jobs(user=0).ensure(run("root"))
    assert "violates PodSecurity" in wait_for(lambda: reason_of(place, "root"))
    place.jobs().cancel("root")


def test_a_secret_that_is_not_there_is_said(place):
    place.jobs(reads="nowhere").ensure(run("keyless"))
    assert 'secret "nowhere" not found' in wait_for(lambda: reason_of(place, "keyless"))
    place.jobs().cancel("keyless")


def test_a_gpu_run_waits_for_quota_then_for_a_node_and_then_runs(place):
    quota = {"metadata": {"name": "gpus"}, "spec": {"hard": {f"requests.{GPUS}": "0"}}}
    place.cluster.create(QUOTA, place.space, quota)
    place.jobs().ensure(run("gpu", "print('on a node')", gpu=1))
    assert "quota gpus of the namespace is used up" in wait_for(lambda: reason_of(place, "gpu"))
    more = {"spec": {"hard": {f"requests.{GPUS}": "1"}}}
    place.cluster.patch(QUOTA, place.space, "gpus", more)
    wait_for(lambda: "waits for a GPU: no node has enough" in reason_of(place, "gpu"))
    try:
        place.patch(NODE, {"status": {"capacity": {GPUS: "1"}, "allocatable": {GPUS: "1"}}})
        assert end_of(place, "gpu").log == "on a node\n"
    finally:
        place.patch(NODE, {"status": {"capacity": {GPUS: None}, "allocatable": {GPUS: None}}})


def test_a_gpu_that_never_comes_is_told_at_the_end(place):
    jobs = place.jobs(margin=timedelta(0), longest_wait=timedelta(seconds=5))
    jobs.ensure(run("never", gpu=1, timeout=timedelta(seconds=5)))
    result = end_of(place, "never")
    assert result.state == FAILED
    assert result.reason == (
        f"it never got its place: waits for a GPU: no node has enough {GPUS} free"
    )


@pytest.mark.parametrize("how", [(), ("--force", "--grace-period=0")])
def test_a_run_whose_pod_was_deleted_is_done_again(place, how):
    key = "forced" if how else "deleted"
    place.jobs().ensure(run(key, SLEEP.format(8)))
    wait_for(lambda: phase_of(place, key) == "work")
    place.kubectl("delete", "pod", "--wait=false", "-l", place.of(key), *how)
    result = end_of(place, key)
    assert (result.state, result.log) == (SUCCEEDED, "at work\n")


def test_a_cancelled_run_is_gone_and_stores_nothing(place):
    place.jobs().ensure(run("gone", SLEEP.format(60)))
    wait_for(lambda: phase_of(place, "gone") == "work")
    place.jobs().cancel("gone")
    assert phase_of(place, "gone") == ""
    wait_for(lambda: not place.pods("gone"))
    assert place.jobs().result("gone") is None


def test_too_much_on_the_volume_is_told(place, evicted):
    result = end_of(place, evicted)
    assert result.state == FAILED
    assert "used more disk than a run may have" in result.reason
    assert json.dumps(result.outputs) == "{}"
