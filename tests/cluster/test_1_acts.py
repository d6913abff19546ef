"""The six acts of the demo on a cluster: MinIO tells of uploads, a Git server takes pushes."""

import pytest

from conveyor.cli.demo.acts import ACTS


@pytest.mark.parametrize("title", ACTS)
def test_the_act_is_played_on_the_cluster(stage, title):
    ACTS[title](stage)


def test_a_second_deployment_changes_nothing(deployed):
    before = deployed.versions()
    deployed.deploy_again()
    assert deployed.versions() == before
