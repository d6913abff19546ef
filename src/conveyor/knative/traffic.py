"""How a model's traffic is written into a Knative Service, and read from it; pure.

A share is a target with the tag `stable` or `candidate`. Each placed release has a target of its
own, `r-<digest>`, at 0 %: its URL. Knative wants 100 % somewhere, so a model's first release holds
it by that target before it has any share: only targets with our two tags make a model served.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conveyor.domain.traffic import WHOLE, Traffic
from conveyor.errors import Rejected
from conveyor.knative import names
from conveyor.knative.resources import Json

STABLE, CANDIDATE = "stable", "candidate"
ROLES = (STABLE, CANDIDATE)

MOST_IDLE = 4
"""Places that are kept without a share: releases that never got traffic must not pile up."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target as we compare it: what webhooks add is gone. revision "" is the latest one."""

    revision: str
    percent: int = 0
    tag: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is written."""
        written: dict[str, Any] = {"revisionName": self.revision, "percent": self.percent}
        return {**written, "tag": self.tag} if self.tag else written


def targets(service: Json) -> tuple[Target, ...]:
    """Return the targets of a Service's spec."""
    return tuple(
        Target(
            revision="" if each.get("latestRevision") else str(each.get("revisionName") or ""),
            percent=int(each.get("percent") or 0),
            tag=str(each.get("tag") or ""),
        )
        for each in service.get("spec", {}).get("traffic") or ()
    )


def read(found: Iterable[Target], releases: Mapping[str, str]) -> Traffic:
    """Return the traffic that targets make; releases maps revisions to release digests.

    What someone else put there shows: a revision that is no release of ours counts by its name, and
    any share counts once one of our two tags is there.
    """
    listed = sorted(found, key=_rank)
    if not any(target.tag in ROLES for target in listed):
        return Traffic()
    shares: dict[str, int] = {}
    for target in listed:
        if target.percent:
            name = releases.get(target.revision, target.revision or "the latest revision")
            shares[name] = shares.get(name, 0) + target.percent
    return Traffic(tuple(shares.items())) if sum(shares.values()) == WHOLE else Traffic()


def _rank(target: Target) -> int:
    return ROLES.index(target.tag) if target.tag in ROLES else len(ROLES)


def places(found: Iterable[Target], releases: Mapping[str, str]) -> dict[str, str]:
    """Return release digest -> revision of all that have their own URL."""
    return {
        releases[target.revision]: target.revision
        for target in found
        if target.revision in releases and target.tag == names.tag(releases[target.revision])
    }


def write(traffic: Traffic, placed: Mapping[str, str]) -> tuple[Target, ...]:
    """Return the targets for some traffic, given every placed release and its revision.

    Without traffic the first place holds what Knative wants. Raises Rejected for more than two
    shares, or a share of what has no place.
    """
    if len(traffic.shares) > len(ROLES):
        raise Rejected(f"traffic goes to a stable and a candidate, not to {traffic.as_dict()}")
    if missing := [name[: names.SHORT] for name in traffic.as_dict() if name not in placed]:
        raise Rejected(f"{missing} have no place to send traffic to: ensure them first")
    shares = tuple(
        Target(revision=placed[name], percent=percent, tag=role)
        for (name, percent), role in zip(traffic.shares, ROLES, strict=False)
    )
    own = tuple(Target(revision=placed[name], tag=names.tag(name)) for name in placed)
    if shares or not own:
        return (*shares, *own)
    return (Target(revision=own[0].revision, percent=WHOLE, tag=own[0].tag), *own[1:])


def place(
    found: tuple[Target, ...], release: str, revision: str, before: str
) -> tuple[Target, ...]:
    """Return the targets with a place for a release; its shares move along from the revision it had
    before ("" for none). Of places without a share only the newest are kept.
    """
    own = names.tag(release)
    moved = [
        replace(each, revision=revision) if before and each.revision == before else each
        for each in found
        if each.tag != own or each.percent
    ]
    shared = {each.revision for each in moved if each.percent}
    idle = [each for each in moved if not each.percent and each.revision not in shared]
    old = idle[: max(0, len(idle) - MOST_IDLE)]
    if not any(each.tag == own for each in moved):
        moved.append(Target(revision=revision, tag=own))
    return tuple(each for each in moved if each not in old)


def has_share(found: tuple[Target, ...], revision: str) -> bool:
    """Whether a revision answers users: it has a share, and the model is served."""
    served = any(each.tag in ROLES for each in found)
    return served and any(each.percent and each.revision == revision for each in found)


def without(found: tuple[Target, ...], revision: str) -> tuple[Target, ...]:
    """Return the targets without a revision; its part of 100 % goes to the first that is left."""
    left = tuple(each for each in found if each.revision != revision)
    missing = WHOLE - sum(each.percent for each in left)
    if not left or not missing:
        return left
    return (replace(left[0], percent=left[0].percent + missing), *left[1:])


def dropped(before: Traffic, after: Traffic, placed: Mapping[str, str]) -> dict[str, str]:
    """Return the places that are left when traffic moves: what drops out loses its own."""
    gone = before.as_dict().keys() - after.as_dict().keys()
    return {name: revision for name, revision in placed.items() if name not in gone}
