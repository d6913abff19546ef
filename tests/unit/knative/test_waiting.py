import threading
from datetime import timedelta

import pytest

from conveyor.errors import Unavailable
from conveyor.knative.memory import MemoryCluster
from conveyor.knative.resources import POD
from conveyor.knative.waiting import Awaited, wait

AWAITED = Awaited(kind=POD, namespace="n", name="x")


def phase(found):
    return found and found["status"].get("phase")


def test_a_change_that_comes_later_is_seen():
    cluster = MemoryCluster()
    cluster.create(POD, "n", {"metadata": {"name": "x"}, "status": {}})
    change = {"status": {"phase": "Running"}}
    threading.Timer(0.1, lambda: cluster.patch(POD, "n", "x", change)).start()
    assert wait(cluster, AWAITED, phase, within=timedelta(seconds=10)) == "Running"


def test_an_object_that_is_not_there_yet_is_waited_for():
    cluster = MemoryCluster()
    pod = {"metadata": {"name": "x"}, "status": {"phase": "Running"}}
    threading.Timer(0.1, lambda: cluster.create(POD, "n", pod)).start()
    assert wait(cluster, AWAITED, phase, within=timedelta(seconds=10)) == "Running"


class Away(MemoryCluster):
    """An API that does not answer the first times."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def get(self, kind, namespace, name):
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("away")
        return super().get(kind, namespace, name)


def test_an_api_that_is_away_for_a_moment_is_waited_for():
    cluster = Away(2)
    cluster.create(POD, "n", {"metadata": {"name": "x"}, "status": {"phase": "Running"}})
    assert wait(cluster, AWAITED, phase, within=timedelta(seconds=10)) == "Running"


def test_an_api_that_stays_away_is_unavailable():
    with pytest.raises(Unavailable, match="away"):
        wait(Away(1000), AWAITED, phase, within=timedelta(seconds=0.3))
