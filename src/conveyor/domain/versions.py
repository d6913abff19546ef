"""Names of releases: semantic versions, GTO tags and what each tag says."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from conveyor.errors import NotFound

_RELEASE = re.compile(r"(?P<model>[^@#]+)@v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)")
_STAGE = re.compile(r"(?P<model>[^@#]+)#(?P<stage>[a-z]+)#(?P<number>\d+)")

STABLE = "stable"
ROLLED_BACK = "rolledback"
ABORTED = "aborted"


class Change(StrEnum):
    """What differs from the release before, strongest last."""

    DATA = "data"
    CODE = "code"
    SIGNATURE = "signature"


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version of a model."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def after(self, change: Change) -> Self:
        """Return the next version: major for a changed signature, minor for code or params, patch
        for data.
        """
        if change is Change.SIGNATURE:
            return type(self)(self.major + 1, 0, 0)
        if change is Change.CODE:
            return type(self)(self.major, self.minor + 1, 0)
        return type(self)(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One tagged release: an immutable bundle addressed by digest, the sha256 of its canonical
    manifest.
    """

    model: str
    version: Version
    digest: str
    onnx: str
    commit: str

    @property
    def tag(self) -> str:
        """The GTO tag, e.g. wine@v1.4.0."""
        return f"{self.model}@v{self.version}"

    @property
    def message(self) -> str:
        """The message of the annotated tag: two trailers that `read_release` reads back."""
        return f"{self.tag}\n\nConveyor-Release: {self.digest}\nConveyor-Onnx: {self.onnx}\n"


@dataclass(frozen=True, kw_only=True)
class Tag:
    """An annotated Git tag as read from the repository."""

    name: str
    commit: str
    message: str

    def trailer(self, name: str) -> str:
        """Return the value of a trailer of the message, "" where there is none."""
        found = re.search(rf"^{re.escape(name)}: (.*)$", self.message, re.MULTILINE)
        return found.group(1).strip() if found else ""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a rollout ended, as its stage tag says it: stable, rolledback or aborted."""

    model: str
    stage: str
    number: int
    release: str
    rollout: str
    onnx: str


def read_release(tag: Tag) -> Release | None:
    """Return the release that a tag registers, None for any other tag."""
    match = _RELEASE.fullmatch(tag.name)
    if match is None or not tag.trailer("Conveyor-Release"):
        return None
    version = Version(int(match["major"]), int(match["minor"]), int(match["patch"]))
    return Release(
        model=match["model"],
        version=version,
        digest=tag.trailer("Conveyor-Release"),
        onnx=tag.trailer("Conveyor-Onnx"),
        commit=tag.commit,
    )


def read_ending(tag: Tag) -> Ending | None:
    """Return how a rollout ended by a stage tag, None for any other tag."""
    match = _STAGE.fullmatch(tag.name)
    if match is None or not tag.trailer("Conveyor-Release"):
        return None
    return Ending(
        model=match["model"],
        stage=match["stage"],
        number=int(match["number"]),
        release=tag.trailer("Conveyor-Release"),
        rollout=tag.trailer("Conveyor-Rollout"),
        onnx=tag.trailer("Conveyor-Onnx"),
    )


@dataclass(frozen=True)
class Registry:
    """All releases and endings of one model, read from its tags."""

    model: str
    releases: tuple[Release, ...]
    endings: tuple[Ending, ...]

    @classmethod
    def of(cls, model: str, tags: Iterable[Tag]) -> Self:
        """Read a model's tags; other models' and unrelated tags are left out."""
        known = tuple(tags)
        releases = [found for found in map(read_release, known) if found and found.model == model]
        endings = [found for found in map(read_ending, known) if found and found.model == model]
        return cls(
            model,
            tuple(sorted(releases, key=lambda release: release.version)),
            tuple(sorted(endings, key=lambda ending: (ending.stage, ending.number))),
        )

    @property
    def latest(self) -> Release | None:
        """The release of the highest version."""
        return self.releases[-1] if self.releases else None

    @property
    def stable(self) -> Release | None:
        """The release that the newest stable tag names."""
        stable = [ending for ending in self.endings if ending.stage == STABLE]
        return self.find(stable[-1].release) if stable else None

    def find(self, name: str) -> Release:
        """Return the release with this digest, tag or version; raises NotFound for none."""
        for release in self.releases:
            if name in {release.digest, release.tag, str(release.version), f"v{release.version}"}:
                return release
        msg = f"{self.model} has no release {name!r}; known: {[r.tag for r in self.releases]}"
        raise NotFound(msg)

    def ended(self, rollout: str) -> Ending | None:
        """Return how a rollout ended, None while it has not."""
        return next((ending for ending in self.endings if ending.rollout == rollout), None)

    def refused_onnx(self) -> frozenset[str]:
        """Return the ONNX digests that were rolled back: never released again by themselves."""
        return frozenset(e.onnx for e in self.endings if e.stage == ROLLED_BACK)

    def next_tag(self, stage: str) -> str:
        """Return the name of the next stage tag, e.g. wine#stable#3."""
        numbers = [ending.number for ending in self.endings if ending.stage == stage]
        return f"{self.model}#{stage}#{max(numbers, default=0) + 1}"


def ending_message(release: Release, *, rollout: str, reason: str) -> str:
    """Return the message of a stage tag, read back by `read_ending`."""
    return (
        f"{release.tag}: {reason}\n\nConveyor-Release: {release.digest}\n"
        f"Conveyor-Onnx: {release.onnx}\nConveyor-Rollout: {rollout}\n"
    )
