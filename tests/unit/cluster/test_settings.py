from datetime import timedelta

import pytest

from conveyor.cluster.settings import FunctionSettings
from conveyor.errors import Rejected

GIVEN = {
    "CONVEYOR_LINE": "shop",
    "CONVEYOR_GIT_REMOTE": "https://git.shop.example/line.git",
    "CONVEYOR_BUCKET": "data",
    "CONVEYOR_BROKER": "http://broker/shop/default",
    "CONVEYOR_LEDGER": "postgresql://conveyor:hidden@db/conveyor",
    "CONVEYOR_KEY_LINE": "k" * 32,
    "CONVEYOR_TOKEN": "a token",
}


def test_settings_are_read_from_the_environment():
    settings = FunctionSettings.from_env(
        {**GIVEN, "PORT": "8012", "CONVEYOR_PATIENCE": "30", "CONVEYOR_BUCKET": "s3://data"}
    )
    assert (settings.line, settings.port, settings.bucket.bucket) == ("shop", 8012, "data")
    assert settings.patience == timedelta(seconds=30)
    assert settings.token == GIVEN["CONVEYOR_TOKEN"]


@pytest.mark.parametrize("name", sorted(GIVEN.keys() - {"CONVEYOR_TOKEN"}))
def test_what_is_missing_is_named(name):
    with pytest.raises(Rejected, match=name):
        FunctionSettings.from_env({**GIVEN, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("CONVEYOR_BROKER", "broker:80"),
        ("CONVEYOR_BUCKET", "a/b"),
        ("CONVEYOR_OUTBOX_AFTER", "soon"),
        ("CONVEYOR_LARGE", "-1"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(name, value):
    with pytest.raises(Rejected, match=f"{name}.*{value}"):
        FunctionSettings.from_env({**GIVEN, name: value})


def test_doors_without_a_token_are_refused():
    with pytest.raises(Rejected, match="CONVEYOR_TOKEN"):
        _ = FunctionSettings.from_env({**GIVEN, "CONVEYOR_TOKEN": ""}).token


def test_no_secret_is_shown():
    shown = repr(FunctionSettings.from_env({**GIVEN, "AWS_SECRET_ACCESS_KEY": "hidden too"}))
    assert not any(secret in shown for secret in ("hidden", "k" * 32, "a token"))
