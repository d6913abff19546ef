"""Which number a release gets, and whether what was made is a release already."""

from conveyor.bundle import Manifest, load_manifest
from conveyor.domain.versions import FIRST, Change, Registry, Release, Version
from conveyor.errors import Conflict, NotFound, Unavailable
from conveyor.ports import History, Objects

ATTEMPTS = 8


def find_equal(
    manifest: Manifest, registry: Registry, objects: Objects
) -> tuple[Release, Manifest] | None:
    """Return the newest release made from the same that gave the same ONNX, or None.

    A push or retraining that changes nothing a model is made from is no reason for a new release.
    """
    for release in reversed(registry.releases):
        if release.onnx == manifest.onnx:
            try:
                found = load_manifest(objects, release.digest)
            except NotFound:
                continue
            if _made_of(found) == _made_of(manifest):
                return release, found
    return None


def plan_release(manifest: Manifest, registry: Registry, objects: Objects) -> Release:
    """Return the release that a manifest becomes, under the next free version."""
    return Release(
        model=manifest.model,
        version=_next_version(manifest, registry, objects),
        digest=manifest.digest,
        onnx=manifest.onnx,
        commit=manifest.lineage.commit,
    )


def tag_release(
    manifest: Manifest, *, history: History, objects: Objects, attempts: int = ATTEMPTS
) -> Release:
    """Tag a manifest's release and return it; one that has a tag keeps it.

    Takes the next number when someone else took the planned one; raises Unavailable when that
    happens again and again.
    """
    for _ in range(attempts):
        registry = Registry.of(manifest.model, history.tags())
        if known := next((r for r in registry.releases if r.digest == manifest.digest), None):
            return known
        planned = plan_release(manifest, registry, objects)
        try:
            history.tag(planned.tag, planned.commit, planned.message)
        except Conflict:
            continue
        return planned
    raise Unavailable(
        f"no free version of {manifest.model} in {attempts} attempts: others tag at the same time"
    )


def _next_version(manifest: Manifest, registry: Registry, objects: Objects) -> Version:
    latest = registry.latest
    if latest is None:
        return FIRST
    try:
        before = load_manifest(objects, latest.digest)
    except NotFound:
        # Without its bundle nobody can say what is the same: promise nothing.
        return latest.version.after(Change.SIGNATURE)
    return latest.version.after(_change(before, manifest))


def _change(before: Manifest, after: Manifest) -> Change:
    if (before.signature, before.classes) != (after.signature, after.classes):
        return Change.SIGNATURE
    return Change.DATA if before.lineage.code == after.lineage.code else Change.CODE


def _made_of(manifest: Manifest) -> tuple[object, ...]:
    """Return what a model is made of; commit, run and the rows it was scored on are not."""
    lineage = manifest.lineage
    made = (dict(lineage.data), lineage.code, lineage.source, lineage.sensitivity)
    return (manifest.onnx, manifest.signature, manifest.classes, *made)
