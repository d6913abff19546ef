"""What `conveyor doctor` found: one line each, and what to do about it; pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

OK, WARN, FAIL = "ok", "warn", "fail"
KUBERNETES = (1, 30)
KNATIVE = (1, 17)
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_MODULES = 27
"""Knative's modules count 0.N where its releases count 1.(N - 27)."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: state is ok, warn or fail; remedy is what to do."""

    state: str
    what: str
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as JSON."""
        return {
            "state": self.state,
            "what": self.what,
            "found": self.found,
            "remedy": self.remedy,
        }


def ok(what: str, found: str) -> Finding:
    """Return that a thing is as it should be."""
    return Finding(state=OK, what=what, found=found)


def warn(what: str, found: str, remedy: str) -> Finding:
    """Return that a thing is missing which some lines need."""
    return Finding(state=WARN, what=what, found=found, remedy=remedy)


def fail(what: str, found: str, remedy: str) -> Finding:
    """Return that a thing is missing without which no line works."""
    return Finding(state=FAIL, what=what, found=found, remedy=remedy)


def version_of(text: str) -> tuple[int, int] | None:
    """Return major and minor of a version, of Knative's modules as its releases count."""
    match = _VERSION.match(text)
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2])
    return (1, minor - _MODULES) if major == 0 and minor >= _MODULES else (major, minor)


def kubernetes(said: Json) -> Finding:
    """Judge /version."""
    text = str(said.get("gitVersion", ""))
    if (version_of(text) or (0, 0)) < KUBERNETES:
        return fail("Kubernetes", text, f"Conveyor needs {_dotted(KUBERNETES)} or newer: upgrade")
    return ok("Kubernetes", text)


def knative(part: str, deployment: Json | None) -> Finding:
    """Judge Knative Serving or Eventing by its controller."""
    what = f"Knative {part}"
    if deployment is None:
        return fail(what, "not installed", "install it: https://knative.dev/docs/install/")
    text = str((deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/version", ""))
    found = version_of(text)
    if found is None:
        return warn(what, "it tells no version", f"see that it is {_dotted(KNATIVE)} or newer")
    if found < KNATIVE:
        return fail(what, text, f"Conveyor needs {_dotted(KNATIVE)} or newer: upgrade it")
    return ok(what, text)


def ingress(config: Json | None, domains: Json | None) -> Iterator[Finding]:
    """Judge what carries requests, and the names that services get."""
    name = str(((config or {}).get("data") or {}).get("ingress-class") or "istio (the default)")
    yield ok("ingress class", name)
    if not name.startswith("kourier"):
        yield warn(
            "network policies",
            f"they let in what comes from kourier-system, the ingress is {name}",
            "change that namespace in knative/base/network to your gateway's",
        )
    names = [each for each in ((domains or {}).get("data") or {}) if not each.startswith("_")]
    if names:
        yield ok("domain", ", ".join(names))
    else:
        yield warn(
            "domain",
            "svc.cluster.local: nothing is reachable from outside by its name",
            "set one in the ConfigMap knative-serving/config-domain, or use a port-forward",
        )


def features(config: Json | None, settings: Mapping[str, str]) -> Iterator[Finding]:
    """Judge Knative's feature flags by what the line's settings ask for."""
    on = (config or {}).get("data") or {}
    asked = {
        "kubernetes.podspec-nodeselector": settings.get("CONVEYOR_GPU_SELECTOR"),
        "kubernetes.podspec-tolerations": settings.get("CONVEYOR_GPU_TOLERATIONS"),
    }
    for flag, wanted in asked.items():
        enabled = str(on.get(flag, "disabled")).casefold() in {"enabled", "allowed"}
        if wanted and not enabled:
            patch = json.dumps({"data": {flag: "enabled"}})
            yield fail(
                flag,
                "off, and the line's models are to be placed by it",
                f"kubectl patch configmap -n knative-serving config-features -p '{patch}'",
            )
        else:
            yield ok(flag, "on" if enabled else "off, and not needed")


def gpus(nodes: Iterable[Json]) -> Finding:
    """Judge what GPUs the nodes offer."""
    counts = [
        int((each.get("status") or {}).get("allocatable", {}).get("nvidia.com/gpu", 0))
        for each in nodes
    ]
    if sum(counts):
        return ok("GPUs", f"{sum(counts)} on {sum(map(bool, counts))} nodes")
    return warn(
        "GPUs",
        "no node offers nvidia.com/gpu",
        "needed only for models that ask for one: install NVIDIA's device plugin",
    )


def namespace(name: str, thing: Json | None) -> Finding:
    """Judge a namespace's Pod Security."""
    what = f"namespace {name}"
    if thing is None:
        return ok(what, "not there yet: deploy makes it")
    label = "pod-security.kubernetes.io/enforce"
    level = (thing["metadata"].get("labels") or {}).get(label)
    if level != "restricted":
        return warn(what, f"Pod Security: {level or 'none'}", "deploy sets it to restricted")
    return ok(what, "Pod Security: restricted")


def settled(what: str, missing: Iterable[str]) -> Finding:
    """Judge rights: which of those that a deployment needs you have not."""
    names = sorted(missing)
    if names:
        remedy = "ask an administrator for them, or to deploy"
        return fail(what, f"you may not: {', '.join(names)}", remedy)
    return ok(what, "all that a deployment needs")


def versioning(bucket: str, said: Json) -> Finding:
    """Judge whether a bucket keeps versions."""
    what = f"bucket {bucket}: versions"
    if said.get("Status") == "Enabled":
        return ok(what, "kept")
    return warn(
        what,
        "not kept: an upload that is overwritten while it is read is lost",
        f"aws s3api put-bucket-versioning --bucket {bucket} "
        "--versioning-configuration Status=Enabled",
    )


def notifications(bucket: str, said: Json) -> Finding:
    """Judge whether a bucket tells of uploads."""
    what = f"bucket {bucket}: notifications"
    rules = [
        str(each.get("QueueArn") or each.get("TopicArn"))
        for kind in ("QueueConfigurations", "TopicConfigurations")
        for each in said.get(kind) or ()
    ]
    if said.get("EventBridgeConfiguration") is not None:
        rules.append("EventBridge")
    if rules:
        return ok(what, f"to {', '.join(rules)}")
    return warn(
        what,
        "none: uploads are found by the look each minute",
        "conveyor deploy --notifications ARN (docs/cluster.md)",
    )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
