import json
from dataclasses import replace
from datetime import timedelta

import pytest

from conveyor.domain.jobs import JobSpec, Limits, Upload
from conveyor.errors import Rejected
from conveyor.knative.jobmanifest import OVERHEAD, job_manifest
from conveyor.knative.jobnames import job_name, label
from conveyor.knative.jobsettings import JobSettings

SETTINGS = JobSettings(
    line="shop",
    namespace="shop-jobs",
    images={"train": "dev.local/train:1", "train-gpu": "dev.local/cuda:1"},
    steps="dev.local/line:1",
)
SPEC = JobSpec(
    kind="train",
    key="k1",
    owner="red wine\n$(rm)",
    command=("python", "train.py"),
    limits=Limits(timeout=timedelta(minutes=5), memory=2**30, cpu=2.0, disk=2**30),
)
READ = Upload(bucket="b", key="k", version="", etag="e", size=1, modified="2026-01-01T00:00:00Z")


def job(spec=SPEC, settings=SETTINGS):
    return job_manifest(spec, settings, fingerprint="f00", since="2026-01-01T00:00:00+00:00")


def pod(spec=SPEC, settings=SETTINGS):
    return job(spec, settings)["spec"]["template"]["spec"]


def steps(spec=SPEC, settings=SETTINGS):
    made = pod(spec, settings)
    return {each["name"]: each for each in [*made["initContainers"], *made["containers"]]}


def test_a_pod_fetches_works_and_stores():
    made = steps()
    assert list(made) == ["fetch", "work", "store"]
    assert made["work"]["image"] == "dev.local/train:1"
    assert {made[name]["image"] for name in ("fetch", "store")} == {"dev.local/line:1"}


def test_the_work_is_given_no_credential_and_no_place():
    made = steps()["work"]
    assert (made["env"], made["envFrom"]) == ([], [])
    assert [mount["name"] for mount in made["volumeMounts"]] == ["job", "shared-memory"]
    assert pod()["automountServiceAccountToken"] is False


def test_each_other_step_gets_only_its_own_secret():
    secrets = {
        name: [each["secretRef"]["name"] for each in made["envFrom"] if "secretRef" in each]
        for name, made in steps().items()
    }
    assert secrets == {"fetch": ["fetch"], "work": [], "store": ["store"]}


def test_every_container_is_restricted():
    for made in steps(replace(SPEC, requirements="numpy")).values():
        context = made["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_with_requirements_the_image_tells_first_which_it_meets():
    made = steps(replace(SPEC, requirements="numpy"))
    assert list(made) == ["offer", "fetch", "work", "store"]
    assert made["offer"]["image"] == "dev.local/train:1"
    assert made["offer"]["envFrom"] == []


def test_a_run_that_only_reads_has_no_work():
    made = steps(JobSpec(kind="version", key="k1", owner="wine", reads=READ))
    assert list(made) == ["fetch", "store"]
    assert made["fetch"]["resources"]["limits"]["memory"] == str(2 * 2**30 + OVERHEAD)


def test_limits_are_the_works():
    given = steps(settings=replace(SETTINGS, share=0.5))["work"]["resources"]
    assert given["limits"]["cpu"] == "2000m"
    assert given["limits"]["memory"] == str(2**30 + OVERHEAD)
    assert given["requests"]["cpu"] == "1000m"
    assert "nvidia.com/gpu" not in given["limits"]


def test_a_gpu_brings_its_image_and_a_toleration():
    spec = replace(SPEC, limits=replace(SPEC.limits, gpu=1))
    made = steps(spec)["work"]
    assert made["image"] == "dev.local/cuda:1"
    assert made["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod(spec)["tolerations"][-1]["key"] == "nvidia.com/gpu"


def test_waiting_for_a_node_is_not_counted_as_work():
    made = job(settings=replace(SETTINGS, longest_wait=timedelta(hours=1)))["spec"]
    assert made["template"]["spec"]["activeDeadlineSeconds"] == 20 * 60
    assert made["activeDeadlineSeconds"] == 20 * 60 + 3600


def test_placement_is_the_administrators():
    settings = replace(
        SETTINGS,
        node_selector={"pool": "big"},
        tolerations=({"key": "batch", "operator": "Exists"},),
        priority_class="low",
    )
    made = pod(settings=settings)
    assert made["nodeSelector"] == {"pool": "big"}
    assert made["tolerations"] == [{"key": "batch", "operator": "Exists"}]
    assert made["priorityClassName"] == "low"
    assert not {"nodeSelector", "tolerations", "priorityClassName"} & set(pod())


def test_hostile_names_stay_in_annotations():
    made = job()
    assert made["metadata"]["annotations"]["conveyor.dev/owner"] == "red wine\n$(rm)"
    del made["metadata"]["annotations"], made["spec"]["template"]["metadata"]["annotations"]
    assert "wine" not in json.dumps(made)


def test_names_and_labels_are_always_valid():
    assert job_name(SETTINGS, "k" * 128, "Tr/ain" * 40)[:17] == "tr-aintr-aintr-a-"
    assert len(job_name(SETTINGS, "k" * 128, "Tr/ain" * 40)) < 58
    assert label("shop") == "shop"
    assert len(label("übel/" * 40)) == 32


def test_parts_of_a_name_are_not_confused():
    assert job_name(SETTINGS, "b", "a") != job_name(replace(SETTINGS, line="shopa"), "b", "")
    assert job_name(SETTINGS, "k1", "train") != job_name(SETTINGS, "k1", "train", 1)


def test_a_kind_without_an_image_is_refused_with_the_remedy():
    with pytest.raises(Rejected, match="CONVEYOR_IMAGE_CONVERT"):
        job(replace(SPEC, kind="convert"))
