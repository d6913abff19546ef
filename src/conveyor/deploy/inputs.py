"""Completes the settings of a deployment: what is given, then what the line in the cluster has,
then what conveyor.yaml says.
"""

from collections.abc import Mapping
from pathlib import Path

from conveyor.deploy.kinds import CONFIG_MAP
from conveyor.deploy.objects import Objects
from conveyor.deploy.wishes import Namespaces, images
from conveyor.errors import NotFound, Rejected
from conveyor.linefile import LINE_FILE, parse_line

_DERIVED = frozenset(
    {
        "CONVEYOR_NAMESPACE",
        "CONVEYOR_JOBS_NAMESPACE",
        "CONVEYOR_MODELS_NAMESPACE",
        "CONVEYOR_BROKER",
    }
)
"""Settings that follow from namespace and overlay: those of an earlier deployment mean nothing."""


def complete(  # noqa: PLR0913  (keyword-only)
    given: Mapping[str, str],
    *,
    objects: Objects,
    namespaces: Namespaces,
    folder: Path | None,
    registry: str | None,
    tag: str | None,
    own: bool,
) -> dict[str, str]:
    """Return all settings for a deployment; folder is the line's, None where there is none.

    An overlay of the user's own says all that is not given itself. Raises Rejected, InvalidLine.
    """
    if own:
        return {**(images(registry, tag, given) if registry or tag else {}), **given}
    settings = {**known(objects, namespaces, folder), **given}
    # An image that is named whole goes before the tag.
    return {**settings, **images(registry, tag, settings), **given}


def known(objects: Objects, namespaces: Namespaces, folder: Path | None) -> dict[str, str]:
    """Return the settings of the line in the cluster, and beneath them conveyor.yaml's."""
    return {**_declared(folder), **_deployed(objects, namespaces)}


def _deployed(objects: Objects, namespaces: Namespaces) -> dict[str, str]:
    try:
        found = objects.get(CONFIG_MAP, namespaces.jobs, "line")
    except NotFound:
        return {}
    data = found.get("data") or {}
    return {name: str(value) for name, value in data.items() if name not in _DERIVED}


def _declared(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    try:
        text = (folder / LINE_FILE).read_bytes()
    except OSError as error:
        raise Rejected(f"{folder / LINE_FILE} cannot be read: {error.strerror}") from error
    line = parse_line(text, default_name=folder.name)
    said = {"CONVEYOR_LINE": line.name, "CONVEYOR_GIT_BRANCH": line.git.branch}
    if line.bucket.startswith("s3://"):
        said["CONVEYOR_BUCKET"] = line.bucket.removeprefix("s3://").strip("/")
    return said
