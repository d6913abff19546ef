"""Looks whether a cluster and what lies around it can carry a line; changes nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from conveyor.deploy import findings
from conveyor.deploy.findings import Finding, fail, ok, warn
from conveyor.deploy.kinds import CONFIG_MAP, NAMESPACE, ORDER, SECRET
from conveyor.deploy.notifications import client
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces
from conveyor.errors import ConveyorError, NotFound, Rejected
from conveyor.knative.resources import Kind
from conveyor.settings import S3Settings

Json = Mapping[str, Any]

SERVING, EVENTING = "knative-serving", "knative-eventing"
_DEPLOYMENT = Kind("apps/v1", "deployments", "Deployment")
_NODE = Kind("v1", "nodes", "Node")
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WRITE = ("get", "list", "create", "patch", "delete")
_BROKERS = {
    "MTChannelBasedBroker": (EVENTING, "mt-broker-controller"),
    "Kafka": (EVENTING, "kafka-controller"),
}


def examine(
    cluster: Objects, namespaces: Namespaces, settings: Mapping[str, str], *, broker: str
) -> Iterator[Finding]:
    """Yield what was found; settings are the line's, as far as they are known, with the bucket's
    credentials; broker is the class that the overlay uses.
    """
    try:
        yield findings.kubernetes(cluster.ask("/version"))
    except ConveyorError as error:
        yield fail("Kubernetes", str(error), "check KUBECONFIG and that the cluster runs")
        return
    yield from _knative(cluster, settings)
    yield _broker(cluster, broker)
    yield _gpus(cluster)
    for name in namespaces.all:
        yield findings.namespace(name, _found(cluster, NAMESPACE, "", name))
    yield _rights(cluster, namespaces)
    yield from _bucket(settings)


def _found(cluster: Objects, kind: Kind, namespace: str, name: str) -> Json | None:
    """Return an object; None where it is not there or may not be seen."""
    try:
        return cluster.get(kind, namespace, name)
    except (NotFound, Rejected):
        return None


def _knative(cluster: Objects, settings: Mapping[str, str]) -> Iterator[Finding]:
    serving = _found(cluster, _DEPLOYMENT, SERVING, "controller")
    yield findings.knative("Serving", serving)
    eventing = _found(cluster, _DEPLOYMENT, EVENTING, "eventing-controller")
    yield findings.knative("Eventing", eventing)
    if serving is not None:
        network = _found(cluster, CONFIG_MAP, SERVING, "config-network")
        domains = _found(cluster, CONFIG_MAP, SERVING, "config-domain")
        yield from findings.ingress(network, domains)
        flags = _found(cluster, CONFIG_MAP, SERVING, "config-features")
        yield from findings.features(flags, settings)


def _broker(cluster: Objects, broker: str) -> Finding:
    what = "broker class"
    place = _BROKERS.get(broker)
    if place is None or _found(cluster, _DEPLOYMENT, *place) is not None:
        return ok(what, broker)
    remedy = "install it, or take an overlay with another: --overlay dev is in memory"
    return fail(what, f"{broker} is not installed", remedy)


def _gpus(cluster: Objects) -> Finding:
    try:
        return findings.gpus(cluster.list(_NODE, ""))
    except Rejected:
        return warn("GPUs", "you may not list nodes", "ask an administrator, if you need GPUs")


def _rights(cluster: Objects, namespaces: Namespaces) -> Finding:
    """Ask for each verb on each kind; the first kind lies in no namespace."""
    missing = [
        f"{verb} {kind.plural} in {namespace or 'the cluster'}"
        for kind in (*ORDER, SECRET)
        for namespace in (("",) if kind == NAMESPACE else namespaces.all)
        for verb in _WRITE
        if not _may(cluster, kind, verb, namespace)
    ]
    return findings.settled("your rights", missing)


def _may(cluster: Objects, kind: Kind, verb: str, namespace: str) -> bool:
    group = kind.api.rpartition("/")[0]
    asked = {"verb": verb, "group": group, "resource": kind.plural, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = cluster.ask(_REVIEW, review)
    return bool((answer.get("status") or {}).get("allowed"))


def _bucket(settings: Mapping[str, str]) -> Iterator[Finding]:
    bucket = settings.get("CONVEYOR_BUCKET", "").removeprefix("s3://").strip("/")
    if not bucket:
        yield warn("bucket", "none is named", "say which: --bucket, or deploy first")
        return
    s3 = client(S3Settings.from_env(settings, bucket=bucket))
    try:
        s3.head_bucket(Bucket=bucket)
        yield ok(f"bucket {bucket}", "answers from here")
        yield findings.versioning(bucket, s3.get_bucket_versioning(Bucket=bucket))
        told = s3.get_bucket_notification_configuration(Bucket=bucket)
        yield findings.notifications(bucket, told)
    except ClientError as error:
        yield fail(f"bucket {bucket}", str(error), "make it, or give this key its rights")
    except BotoCoreError as error:
        remedy = "an endpoint inside the cluster cannot be seen from here: then name --s3-endpoint"
        yield warn(f"bucket {bucket}", f"no answer from here: {error}", remedy)
