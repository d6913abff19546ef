"""What is read from a model's Service, its template and revisions; pure."""

from conveyor.knative import names
from conveyor.knative import traffic as mapping
from conveyor.knative.resources import Json


def revision_name(template: Json) -> str:
    """Return the name of the revision that a template makes."""
    return str(template["metadata"]["name"])


def release_of(template: Json) -> str:
    """Return the digest of the release that a template serves."""
    return str(template["metadata"]["annotations"][names.RELEASE])


def template_name(found: Json) -> str:
    """Return the name of the revision that a Service makes now, "" for one by hand."""
    return str(found["spec"]["template"].get("metadata", {}).get("name", ""))


def is_target(found: Json, wanted: Json) -> bool:
    """Whether a Service has any target of a template's revision."""
    return any(each.revision == revision_name(wanted) for each in mapping.targets(found))


def is_proved(found: Json, wanted: Json) -> bool:
    """Whether a revision proved itself before: a model's first has its place before it did."""
    own = [each for each in mapping.targets(found) if each.revision == revision_name(wanted)]
    return any(each.tag in mapping.ROLES or not each.percent for each in own)


def belongs(revision: Json, found: Json) -> bool:
    """Whether a revision is of this very Service, not of one of its name that was deleted."""
    metadata = revision["metadata"]
    owner = (metadata.get("labels") or {}).get("serving.knative.dev/serviceUID")
    return owner == found["metadata"]["uid"] and not metadata.get("deletionTimestamp")


def routed(found: Json | None) -> bool | None:
    """Return True once the routes are as the newest generation says, None before."""
    if found is None:
        return True
    status = found.get("status", {})
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return None
    ready = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return True if ready.get("RoutesReady") == "True" else None
