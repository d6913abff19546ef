import pytest

from conveyor.errors import Rejected
from conveyor.serving.podsettings import PodSettings

GIVEN = {
    "CONVEYOR_RELEASE": "a" * 64,
    "CONVEYOR_BUCKET": "s3://data",
    "CONVEYOR_BROKER": "http://broker",
    "CONVEYOR_KEY_SERVE": "serve-secret-of-the-tests",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "CONVEYOR_LINE": "shop",
}


@pytest.fixture
def given(tmp_path):
    return {**GIVEN, "TMPDIR": str(tmp_path)}


def test_the_models_process_gets_no_key_to_the_bucket(given):
    child = PodSettings.from_env(given).child_environment({**given, "OTHER": "x"})
    assert not [name for name in child if name.startswith("AWS_")]
    assert "secret" not in child.values()
    assert "OTHER" not in child
    assert child["CONVEYOR_KEY_SERVE"] == GIVEN["CONVEYOR_KEY_SERVE"]
    assert child["K_SINK"] == "http://broker"


def test_a_cluster_has_its_own_pace(given):
    settings = PodSettings.from_env(given)
    assert settings.sink_timeout.total_seconds() > 30
    assert settings.child_environment(given)["CONVEYOR_FLUSH"] == "5"


def test_the_pod_listens_for_others_on_the_port_it_is_given(given):
    command = PodSettings.from_env({**given, "PORT": "9000"}).command
    assert command[-4:] == ("--host", "0.0.0.0", "--port", "9000")  # noqa: S104


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONVEYOR_RELEASE", "wine"), ("CONVEYOR_RELEASE", "../" * 22), ("CONVEYOR_BUCKET", "")],
)
def test_what_is_wrong_is_named(given, name, value):
    with pytest.raises(Rejected, match=name):
        PodSettings.from_env({**given, name: value})
