"""What a user asks of a deployment, and the settings that follow from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from conveyor.errors import Rejected

NEEDED = {
    "CONVEYOR_LINE": "--line NAME, or `line:` in conveyor.yaml",
    "CONVEYOR_GIT_REMOTE": "--git-remote URL",
    "CONVEYOR_BUCKET": "--bucket NAME, or `bucket: s3://NAME` in conveyor.yaml",
}
FAMILIES = ("line", "serve", "convert", "train")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,53}[a-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """The three namespaces of a line."""

    line: str

    def __post_init__(self) -> None:
        """Refuse what cannot be a namespace; raises Rejected."""
        if not _NAMESPACE.fullmatch(self.line):
            raise Rejected(
                f"{self.line!r} cannot be a namespace: lower-case letters, digits and dashes, at "
                "most 55 of them (`-jobs` and `-models` are added)"
            )

    @property
    def jobs(self) -> str:
        """Where runs work."""
        return f"{self.line}-jobs"

    @property
    def models(self) -> str:
        """Where models serve."""
        return f"{self.line}-models"

    @property
    def all(self) -> tuple[str, str, str]:
        """All three."""
        return (self.line, self.jobs, self.models)


BASE = Namespaces(line="conveyor")
"""The namespaces that the manifests are written with."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A deployment as asked for. overlay is the name of one of ours or a folder of the user's own;
    settings are variables of the ConfigMap `line` that were given, and win over the overlay's.
    """

    namespaces: Namespaces
    overlay: str = "dev"
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether the overlay is the user's own folder, whose settings need no repeating."""
        return "/" in self.overlay or self.overlay in {".", ".."}


def settings_of(given: Mapping[str, str | None], extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Return given settings without those left out, and with NAME=VALUE pairs; raises Rejected."""
    settings = {name: value for name, value in given.items() if value}
    for pair in extra:
        name, sign, value = pair.partition("=")
        if not sign or not _VARIABLE.fullmatch(name):
            raise Rejected(f"--set {pair!r}: give a variable and its value, NAME=VALUE")
        settings[name] = value
    for name, value in settings.items():
        if "\n" in value or "\r" in value:
            raise Rejected(f"{name} must be one line, got {value[:60]!r}")
    return settings


def images(registry: str | None, tag: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that name the images: by what is given, else as settings have them.

    Raises Rejected for what cannot be a tag; `latest` is refused, for it names no version.
    """
    if tag and (not _TAG.fullmatch(tag) or tag == "latest"):
        raise Rejected(f"{tag!r} is no tag to deploy: name a version, such as the commit's")
    made = {}
    for family in FAMILIES:
        name = f"CONVEYOR_IMAGE_{family.upper()}"
        before, _, old = settings.get(name, "").rpartition(":")
        place = f"{registry.rstrip('/')}/conveyor-{family}" if registry else before
        version = tag or old
        if version:
            made[name] = f"{place or f'dev.local/conveyor-{family}'}:{version}"
    return made


def check(wish: Wish) -> None:
    """Raise Rejected naming all settings at once that are needed and missing."""
    if wish.own:
        return
    missing = [f"  {name}: {how}" for name, how in NEEDED.items() if name not in wish.settings]
    if "CONVEYOR_IMAGE_LINE" not in wish.settings:
        missing.append("  the images: --tag TAG (`make images` prints it), --image-registry HOST")
    if missing:
        raise Rejected("\n".join(["the line's settings are not complete; say", *missing]))
