import json
import stat

import pytest

from conveyor.deploy.credentials import Secret
from conveyor.deploy.kinds import SERVICE
from conveyor.deploy.objects import MemoryObjects
from conveyor.deploy.reaching import Address, find, write
from conveyor.deploy.wishes import Namespaces

DEMO = Namespaces(line="demo")
KEYS = (Secret(namespace="demo", name="line-keys", values={"CONVEYOR_TOKEN": "t0ken"}),)


@pytest.fixture
def cluster():
    found = MemoryObjects()
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
    about = {"name": "api", "namespace": "demo"}
    found.apply({"apiVersion": SERVICE.api, "kind": "Service", "metadata": about})
    found.things[("Service", "demo", "api")]["status"] = {"url": "http://api.demo.invalid"}
    return found


def test_a_gateway_is_asked_for_the_api_by_its_name(cluster):
    found = find(cluster, DEMO, "http://127.0.0.1:8080/")
    assert found == Address(url="http://127.0.0.1:8080", host="api.demo.invalid")


def test_a_name_that_does_not_resolve_and_no_gateway_are_said(cluster):
    assert find(cluster, DEMO, None).url == ""


def test_the_address_of_a_load_balancer_is_found(cluster):
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    cluster.things[("Service", "kourier-system", "kourier")] = {"status": status}
    assert find(cluster, DEMO, None) == Address(url="http://192.0.2.1", host="api.demo.invalid")


def test_commands_find_the_address_and_nobody_else_reads_the_token(tmp_path):
    file = write(Address(url="http://x", host="api.demo"), KEYS, tmp_path)
    assert json.loads(file.read_text()) == {"url": "http://x", "token": "t0ken", "host": "api.demo"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_unknown_address_is_not_written(tmp_path):
    assert write(Address(url=""), KEYS, tmp_path) is None
    assert not (tmp_path / ".conveyor").exists()
