import pytest

from conveyor.errors import Rejected
from conveyor.knative.jobsettings import JobSettings

LEAST = {
    "CONVEYOR_LINE": "shop",
    "CONVEYOR_JOBS_NAMESPACE": "shop-jobs",
    "CONVEYOR_IMAGE_LINE": "line:1",
    "CONVEYOR_IMAGE_TRAIN": "train:1",
}


def test_what_is_not_set_has_a_default():
    settings = JobSettings.from_env(LEAST)
    assert settings.images == {"train": "train:1"}
    assert (settings.share, settings.tolerations) == (1.0, ())


def test_placement_is_read_as_json():
    given = {"CONVEYOR_JOBS_NODE_SELECTOR": '{"pool": "big"}', "CONVEYOR_JOBS_TOLERATIONS": "[{}]"}
    settings = JobSettings.from_env({**LEAST, **given})
    assert (settings.node_selector, settings.tolerations) == ({"pool": "big"}, ({},))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONVEYOR_LINE", ""),
        ("CONVEYOR_JOBS_SHARE", "2"),
        ("CONVEYOR_JOBS_SHARE", "much"),
        ("CONVEYOR_JOBS_TOLERATIONS", "{}"),
        ("CONVEYOR_JOBS_NODE_SELECTOR", "{"),
        ("CONVEYOR_JOBS_KEEP", "-1"),
    ],
)
def test_what_is_wrong_is_said_by_name(name, value):
    with pytest.raises(Rejected, match=name):
        JobSettings.from_env({**LEAST, name: value})


def test_a_gpu_run_takes_the_plain_image_where_there_is_no_other():
    assert JobSettings.from_env(LEAST).image("train", gpu=True) == "train:1"
