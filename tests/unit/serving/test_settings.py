from datetime import timedelta
from pathlib import Path

import pytest

from conveyor.errors import Rejected
from conveyor.serving.settings import ServingSettings


def test_an_empty_environment_gives_the_defaults():
    assert ServingSettings.from_env({}) == ServingSettings()


def test_each_setting_is_read():
    settings = ServingSettings.from_env(
        {
            "K_SINK": "http://sink",
            "CONVEYOR_CPU": "2",
            "CONVEYOR_SAMPLES": "/tmp/s",  # noqa: S108
            "CONVEYOR_RUN_LIMIT": "0.5",
            "CONVEYOR_WATCH_PARENT": "1",
        }
    )
    assert (settings.sink, settings.cpu, settings.watch_parent) == ("http://sink", 2, True)
    assert (settings.samples, settings.limit) == (Path("/tmp/s"), timedelta(seconds=0.5))  # noqa: S108


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONVEYOR_CPU", "0"),
        ("CONVEYOR_MEMORY", "-1"),
        ("CONVEYOR_MAX_BODY", "x"),
        ("CONVEYOR_FLUSH", "0"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_variable(name, value):
    with pytest.raises(Rejected, match=name):
        ServingSettings.from_env({name: value})
