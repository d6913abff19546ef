"""What is applied to a cluster, as a security reviewer reads it."""

import copy
import re

import pytest

from conveyor.domain.routes import MINUTE, TRIGGERS

PUBLIC = {"receive", "api"}
READ = {"get", "list", "watch"}
WRITE = READ | {"create", "update", "patch", "delete"}
RIGHTS = {
    "conveyor-jobs": {
        "writers": {"version", "build", "convert", "reconcile"},
        "readers": {"api", "jobs-source"},
        "writes": {"jobs"},
    },
    "conveyor-models": {
        "writers": {"release", "judge", "reconcile"},
        "readers": {"api"},
        "writes": {"services", "revisions"},
    },
}
"""Who may change what, by namespace; all others of a namespace only read."""


def of(objects, kind, group=""):
    return [
        each
        for each in objects
        if each["kind"] == kind and (not group or each["apiVersion"].startswith(group))
    ]


def functions(objects):
    return of(objects, "Service", "serving.knative.dev/")


def violations(pod):
    """Return what the restricted Pod Security profile forbids in a pod that Knative makes."""
    found = []
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        context = container.get("securityContext", {})
        wanted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        found += [name for name, value in wanted.items() if context.get(name) != value]
        found += ["hostPort" for port in container.get("ports", ()) if port.get("hostPort")]
    found += [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    allowed = {"emptyDir", "secret", "configMap", "projected"}
    found += [each["name"] for each in pod.get("volumes", ()) if not allowed & each.keys()]
    return found


def test_triggers_are_those_of_the_trigger_table(overlay):
    made = {
        (
            each["spec"]["subscriber"]["ref"]["name"],
            tuple(sorted(each["spec"]["filter"]["attributes"].items())),
        )
        for each in of(overlay, "Trigger")
    }
    wanted = {
        (each.station, tuple(sorted({"type": each.type, **each.extensions}.items())))
        for each in TRIGGERS
    }
    assert made == wanted
    assert len(of(overlay, "Trigger")) == len(TRIGGERS)


def test_triggers_match_by_equality_alone_and_lie_with_their_broker(overlay):
    for each in of(overlay, "Trigger"):
        assert each["spec"]["broker"] == "default"
        assert set(each["spec"]["filter"]) == {"attributes"}
        assert "filters" not in each["spec"]


def test_what_is_given_up_comes_to_the_dead_letters_of_its_station(overlay):
    for each in of(overlay, "Trigger"):
        delivery, station = each["spec"]["delivery"], each["spec"]["subscriber"]["ref"]["name"]
        assert (delivery["retry"], delivery["backoffPolicy"]) == (10, "exponential")
        assert delivery["backoffDelay"] == "PT0.2S"
        assert delivery["deadLetterSink"]["ref"]["name"] == "deadletter"
        assert delivery["deadLetterSink"]["uri"] == f"/dead/{station}"
    for each in of(overlay, "Broker"):
        assert each["spec"]["delivery"]["deadLetterSink"]["uri"] == "/dead/broker"


def test_every_pod_is_admitted_by_the_restricted_profile(overlay):
    assert len(functions(overlay)) == 9
    for each in functions(overlay):
        assert violations(each["spec"]["template"]["spec"]) == [], each["metadata"]["name"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("allowPrivilegeEscalation", True),
        ("runAsNonRoot", False),
        ("capabilities", {"drop": ["NET_RAW"]}),
        ("seccompProfile", {"type": "Unconfined"}),
        ("readOnlyRootFilesystem", False),
    ],
)
def test_a_careless_container_is_seen(dev, place, value):
    pod = copy.deepcopy(functions(dev)[0]["spec"]["template"]["spec"])
    pod["containers"][0]["securityContext"][place] = value
    assert violations(pod) == [place]


def test_every_namespace_enforces_the_restricted_profile(overlay):
    for each in of(overlay, "Namespace"):
        labels = each["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_only_the_doors_and_the_api_are_reachable_from_outside(overlay):
    label = "networking.knative.dev/visibility"
    for each in functions(overlay):
        seen = each["metadata"]["labels"].get(label)
        assert seen == (None if each["metadata"]["name"] in PUBLIC else "cluster-local")


def test_functions_bound_themselves_and_start_small(overlay):
    for each in functions(overlay):
        template = each["spec"]["template"]
        spec, container = template["spec"], template["spec"]["containers"][0]
        assert 1 <= spec["containerConcurrency"] <= 50
        assert 30 <= spec["timeoutSeconds"] <= 600
        assert int(template["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"]) <= 20
        assert container["readinessProbe"]["periodSeconds"] == 1
        assert container["resources"]["limits"]["memory"]
        assert "tmp" in {each["name"] for each in container["volumeMounts"]}


def test_what_the_tick_wakes_goes_again_before_the_next_one(overlay):
    ticked = {t.station for t in TRIGGERS if t.extensions.get("schedule") == MINUTE} | {"receive"}
    pings = of(overlay, "PingSource")
    assert [ping["spec"]["sink"]["ref"]["name"] for ping in pings] == ["receive"]
    assert [ping["spec"]["schedule"] for ping in pings] == ["* * * * *"]
    windows = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["annotations"].get(
            "autoscaling.knative.dev/window", "60s"
        )
        for each in functions(overlay)
    }
    # Knative refuses less than 6 s, and adds up to 30 s before a pod goes.
    short = {name for name, window in windows.items() if 6 <= int(window.rstrip("s")) <= 15}
    assert short == ticked


def test_no_role_has_a_wildcard_or_reads_secrets(overlay):
    assert not of(overlay, "ClusterRole")
    assert not of(overlay, "ClusterRoleBinding")
    for role in of(overlay, "Role"):
        for rule in role["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
            assert "secrets" not in rule["resources"]
            assert set(rule["verbs"]) <= WRITE


def test_each_function_has_the_rights_it_needs_and_no_more(overlay):
    roles = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["rules"]
        for each in of(overlay, "Role")
    }
    held = {}
    for binding in of(overlay, "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        rules = roles[(namespace, binding["roleRef"]["name"])]
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", "conveyor")
            held.setdefault((namespace, subject["name"]), []).extend(rules)
    for (namespace, name), rules in held.items():
        known = RIGHTS[namespace]
        changed = {r for rule in rules if set(rule["verbs"]) - READ for r in rule["resources"]}
        assert changed == (known["writes"] if name in known["writers"] else set()), name
        assert name in known["writers"] | known["readers"]
    assert {name for _, name in held} == {
        name for known in RIGHTS.values() for name in known["writers"] | known["readers"]
    }


def test_a_token_is_given_only_to_who_has_rights(overlay):
    bound = {subject["name"] for each in of(overlay, "RoleBinding") for subject in each["subjects"]}
    for account in of(overlay, "ServiceAccount"):
        wanted = account["metadata"]["namespace"] == "conveyor"
        wanted = wanted and account["metadata"]["name"] in bound
        assert account["automountServiceAccountToken"] is wanted, account["metadata"]
    accounts = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in of(overlay, "ServiceAccount")
    }
    for namespace in ("conveyor", "conveyor-jobs", "conveyor-models"):
        assert (namespace, "default") in accounts
    for each in functions(overlay):
        account = each["spec"]["template"]["spec"]["serviceAccountName"]
        assert account == each["metadata"]["name"]


def test_no_secret_is_written_down(overlay):
    assert not of(overlay, "Secret")
    secret = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET|LEDGER)")
    for each in of(overlay, "ConfigMap"):
        assert not [name for name in each.get("data", {}) if secret.search(name)]
    for each in functions(overlay):
        for variable in each["spec"]["template"]["spec"]["containers"][0]["env"]:
            assert "value" not in variable
            assert "secretKeyRef" in variable["valueFrom"]


def test_secrets_go_only_to_who_uses_them(dev):
    for each in functions(dev):
        name = each["metadata"]["name"]
        container = each["spec"]["template"]["spec"]["containers"][0]
        whole = {ref["secretRef"]["name"] for ref in container["envFrom"] if "secretRef" in ref}
        keys = {each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"]}
        assert whole == ({"line-ledger"} if name == "deadletter" else {"line-ledger", "line-s3"})
        assert ("CONVEYOR_TOKEN" in keys) == (name in PUBLIC)


def test_images_are_named_by_tag_and_in_one_place(overlay):
    for config in of(overlay, "ConfigMap"):
        if config["metadata"]["name"].startswith("line"):
            images = {k: v for k, v in config["data"].items() if k.startswith("CONVEYOR_IMAGE_")}
            assert {"CONVEYOR_IMAGE_LINE", "CONVEYOR_IMAGE_SERVE"} <= images.keys()
            for image in images.values():
                assert re.fullmatch(r"\S+:(?!latest$)[\w.-]+", image)
    for each in functions(overlay):
        image = each["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image == images["CONVEYOR_IMAGE_LINE"]


def test_a_changed_setting_makes_new_revisions(dev):
    names = {
        each["metadata"]["namespace"]: each["metadata"]["name"]
        for each in of(dev, "ConfigMap")
        if each["metadata"]["name"].startswith("line")
    }
    assert names["conveyor-jobs"] == names["conveyor-models"] == "line"
    assert re.fullmatch(r"line-\w{10}", names["conveyor"])
    for each in functions(dev):
        sources = each["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        assert sources[0] == {"configMapRef": {"name": names["conveyor"]}}


def test_every_namespace_has_a_quota_and_defaults(overlay):
    for kind in ("ResourceQuota", "LimitRange"):
        places = {each["metadata"]["namespace"] for each in of(overlay, kind)}
        assert places == {"conveyor", "conveyor-jobs", "conveyor-models"}


def test_kafka_keeps_events_and_their_order(kafka):
    (broker,) = of(kafka, "Broker")
    annotations = broker["metadata"]["annotations"]
    assert annotations["eventing.knative.dev/broker.class"] == "Kafka"
    assert broker["spec"]["config"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "kafka-broker",
        "namespace": "conveyor",
    }
    assert any(each["metadata"]["name"] == "kafka-broker" for each in of(kafka, "ConfigMap"))
    for each in of(kafka, "Trigger"):
        order = each["metadata"]["annotations"]["kafka.eventing.knative.dev/delivery.order"]
        assert order == "ordered"
    (settings, *_) = (e for e in of(kafka, "ConfigMap") if e["metadata"]["name"] == "line")
    assert settings["data"]["CONVEYOR_BROKER"].startswith("http://kafka-broker-ingress.")


def test_sources_only_wake_the_doors(overlay):
    (ping,) = of(overlay, "PingSource")
    (jobs,) = of(overlay, "ApiServerSource")
    assert ping["spec"]["schedule"] == "* * * * *"
    assert ping["spec"]["sink"]["uri"] == "/sources/ping"
    assert jobs["spec"]["sink"]["uri"] == "/sources/jobs"
    for each in (ping, jobs):
        assert each["spec"]["sink"]["ref"]["name"] == "receive"
