import pytest

from conveyor.cluster.jobsettings import StepSettings
from conveyor.errors import Rejected


def test_a_bucket_may_be_given_as_its_address():
    given = {"CONVEYOR_BUCKET": "s3://data", "CONVEYOR_GIT_REMOTE": "https://git/x", "TMPDIR": "/s"}
    settings = StepSettings.from_env(given)
    assert (settings.s3.bucket, settings.remote) == ("data", "https://git/x")
    assert str(settings.scratch) == "/s"


def test_a_step_without_a_bucket_says_what_is_missing():
    with pytest.raises(Rejected, match="CONVEYOR_BUCKET"):
        StepSettings.from_env({})
