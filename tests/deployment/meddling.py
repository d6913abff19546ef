"""What the tests do to a deployed line behind its back."""

import json
from typing import Any

import psycopg

from conveyor.cli.demo.stage import Address
from conveyor.domain.objects import RESERVED
from deployment.deployed import Deployed


def kill_pods(line: Deployed, namespace: str, selector: str) -> None:
    """Kill the pods of a selector, as a node that dies does."""
    force = ("--force", "--grace-period=0", "--ignore-not-found")
    line.machine.kubectl("delete", "pods", "-n", namespace, "-l", selector, *force)


def kill_run(line: Deployed, kind: str) -> None:
    """Kill the pod of a run of a kind once it works."""
    namespace, selector = f"{line.namespace}-jobs", f"conveyor.dev/kind={kind}"

    def working() -> list[str]:
        asked = ("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
        items = json.loads(line.machine.kubectl(*asked))["items"]
        return [
            item["metadata"]["name"]
            for item in items
            for each in item["status"].get("initContainerStatuses", ())
            if each["name"] == "work" and "running" in each["state"]
        ]

    for name in line.until(working, f"a {kind} run at work"):
        force = ("--force", "--grace-period=0", "--ignore-not-found")
        line.machine.kubectl("delete", "pod", "-n", namespace, name, *force)


def forget_everything(line: Deployed, ledger: str) -> None:
    """Delete all tables of the ledger and all model services."""
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    line.machine.kubectl("delete", "ksvc", "-n", f"{line.namespace}-models", "--all")


def edit_traffic(line: Deployed, model: str) -> None:
    """Give all traffic of a model to its stable revision, as an impatient person would."""
    namespace = f"{line.namespace}-models"
    service = json.loads(line.machine.kubectl("get", "ksvc", model, "-n", namespace, "-o", "json"))
    targets: list[dict[str, Any]] = service["spec"]["traffic"]
    edited = [
        {**each, "percent": {"stable": 100, "candidate": 0}.get(each.get("tag", ""), 0)}
        for each in targets
    ]
    patch = json.dumps({"spec": {"traffic": edited}})
    line.machine.kubectl("patch", "ksvc", model, "-n", namespace, "--type=merge", "-p", patch)


def model_pods(line: Deployed) -> list[str]:
    """Return the pods of all models."""
    asked = ("get", "pods", "-n", f"{line.namespace}-models", "-o", "json")
    return [item["metadata"]["name"] for item in json.loads(line.machine.kubectl(*asked))["items"]]


def sleep(line: Deployed) -> None:
    """Wait until no model has a pod."""
    line.until(lambda: not model_pods(line), "the models' sleep", 180)


def stored_version(line: Deployed, md5: str) -> bytes:
    """Return the bytes that DVC's remote keeps of a version."""
    key = f"{RESERVED}dvc/files/md5/{md5[:2]}/{md5[2:]}"
    return bytes(line.s3.get_object(Bucket=line.bucket, Key=key)["Body"].read())


def inside_address(line: Deployed, station: str) -> Address:
    """Return where a function answers inside the cluster, through Knative's inner gateway."""
    host = f"{station}.{line.namespace}.svc.cluster.local"
    return Address(
        url=_cluster_ip(line, "kourier-internal", "kourier-system"), headers={"Host": host}
    )


def broker_address(line: Deployed) -> str:
    """Return where this machine reaches the broker's ingress."""
    return f"{_cluster_ip(line, 'broker-ingress', 'knative-eventing')}/{line.namespace}/default"


def _cluster_ip(line: Deployed, service: str, namespace: str) -> str:
    asked = ("get", "service", service, "-n", namespace, "-o", "json")
    return f"http://{json.loads(line.machine.kubectl(*asked))['spec']['clusterIP']}"
