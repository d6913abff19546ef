from pathlib import Path

import pytest

from conveyor.embedded.settings import EmbeddedSettings
from conveyor.errors import Rejected


def read(**environment):
    return EmbeddedSettings.from_env(environment, line=Path("line"), state=None)


def test_from_how_many_bytes_on_an_upload_is_large_can_be_set():
    assert read().large == 256 * 2**20
    assert read(CONVEYOR_LARGE="1000").large == 1000


@pytest.mark.parametrize("value", ["1 GB", "-1", "0", "1.5"])
def test_a_size_that_is_none_is_refused_by_name(value):
    with pytest.raises(Rejected, match="CONVEYOR_LARGE must be a whole number of bytes"):
        read(CONVEYOR_LARGE=value)
