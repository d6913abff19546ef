from datetime import timedelta

import pytest

from conveyor.domain.line import Serve
from conveyor.errors import Rejected
from conveyor.knative.manifest import template
from conveyor.knative.names import service_name
from conveyor.knative.settings import ServicesSettings

SETTINGS = ServicesSettings(namespace="models", line="shop", image="serve:1", gpu_image="serve:gpu")
RELEASE = "a" * 64


def made(**serve):
    return template(SETTINGS, "wine", RELEASE, Serve(**serve))


def test_equal_settings_make_the_same_revision_and_others_another():
    assert made() == made()
    assert made()["metadata"]["name"].startswith("wine-aaaaaaaaaaaa-")
    assert made()["metadata"]["name"] != made(cpu=2)["metadata"]["name"]


def test_a_pod_is_restricted_and_knows_nobodys_token():
    spec = made()["spec"]
    (container,) = spec["containers"]
    security = container["securityContext"]
    assert not spec["automountServiceAccountToken"]
    assert not security["allowPrivilegeEscalation"]
    assert security["readOnlyRootFilesystem"]
    assert security["runAsNonRoot"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_secrets_are_only_referred_to():
    (container,) = made()["spec"]["containers"]
    assert {"secretRef": {"name": "serve"}} in container["envFrom"]
    assert {each["name"] for each in container["env"]} == {
        "CONVEYOR_RELEASE",
        "CONVEYOR_CPU",
        "CONVEYOR_MEMORY",
    }


@pytest.mark.parametrize(
    ("idle", "window", "retention"),
    [(1, "6s", "0s"), (30, "30s", "0s"), (60, "60s", "0s"), (600, "60s", "540s")],
)
def test_idle_is_knatives_window_and_beyond_a_minute_its_retention(idle, window, retention):
    said = made(idle=timedelta(seconds=idle))["metadata"]["annotations"]
    assert said["autoscaling.knative.dev/window"] == window
    assert said["autoscaling.knative.dev/scale-to-zero-pod-retention-period"] == retention


def test_only_a_gpu_model_asks_for_a_gpu_and_its_image():
    (plain,), (gpu,) = made()["spec"]["containers"], made(gpu=1)["spec"]["containers"]
    assert "nvidia.com/gpu" not in plain["resources"]["limits"]
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert (plain["image"], gpu["image"]) == ("serve:1", "serve:gpu")


def test_node_selector_and_tolerations_are_only_written_where_they_are_allowed():
    settings = ServicesSettings(
        namespace="models",
        line="shop",
        image="serve:1",
        gpu_selector={"gpu": "yes"},
        gpu_tolerations=({"key": "gpu", "operator": "Exists"},),
    )
    gpu = template(settings, "wine", RELEASE, Serve(gpu=1))["spec"]
    assert gpu["nodeSelector"] == {"gpu": "yes"}
    assert "nodeSelector" not in template(settings, "wine", RELEASE, Serve())["spec"]
    assert "tolerations" not in made(gpu=1)["spec"]


@pytest.mark.parametrize("model", ["wine", "churn-2"])
def test_a_dns_safe_model_is_its_own_service(model):
    assert service_name(model) == model


@pytest.mark.parametrize("model", ["Wine", "vin rouge", "wine_2", "2wine", "é", "-", "a" * 200])
def test_any_other_name_is_made_safe_and_stays_unique(model):
    name = service_name(model)
    assert len(name) <= 40
    assert name[0].isalpha()
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name != service_name(model + "x")


def test_settings_name_what_is_missing_or_wrong():
    good = {
        "CONVEYOR_MODELS_NAMESPACE": "m",
        "CONVEYOR_LINE": "shop",
        "CONVEYOR_IMAGE_SERVE": "serve:1",
    }
    assert ServicesSettings.from_env(good).namespace == "m"
    with pytest.raises(Rejected, match="CONVEYOR_IMAGE_SERVE"):
        ServicesSettings.from_env({**good, "CONVEYOR_IMAGE_SERVE": ""})
    with pytest.raises(Rejected, match="CONVEYOR_GPU_SELECTOR"):
        ServicesSettings.from_env({**good, "CONVEYOR_GPU_SELECTOR": "[]"})
