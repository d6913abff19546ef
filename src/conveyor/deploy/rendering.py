"""Renders an overlay with kustomize, which is the one thing that puts manifests together."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

import conveyor
from conveyor.deploy.wishes import BASE, Wish
from conveyor.errors import Rejected, Unavailable

_TIMEOUT = 120.0


def manifests() -> Path:
    """Return the folder with `knative`, `functions` and `eventing`: the package's or a checkout's.

    Raises Rejected where there is neither.
    """
    package = Path(conveyor.__file__).resolve().parent
    for folder in (package / "manifests", package.parent.parent):
        if (folder / "knative" / "base" / "kustomization.yaml").is_file():
            return folder
    raise Rejected(f"no manifests lie beside {package}: install conveyor-line from its wheel")


def overlay_folder(wish: Wish) -> Path:
    """Return the folder of the overlay; raises Rejected where there is none of that name."""
    known = manifests() / "knative" / "overlays"
    folder = Path(wish.overlay) if wish.own else known / wish.overlay
    if not (folder / "kustomization.yaml").is_file():
        names = ", ".join(sorted(each.name for each in known.iterdir() if each.is_dir()))
        raise Rejected(
            f"there is no overlay {wish.overlay!r}: name one of {names}, or a folder of your own "
            "with a kustomization.yaml (./my-overlay)"
        )
    return folder.resolve()


def render(wish: Wish) -> tuple[Mapping[str, Any], ...]:
    """Return the overlay's objects with the wish's settings, still in the base's namespaces.

    Raises Rejected with kustomize's words where it refuses.
    """
    overlay = overlay_folder(wish)
    with tempfile.TemporaryDirectory(prefix="conveyor-") as scratch:
        folder = Path(scratch).resolve()
        (folder / "line.env").write_text(environment_file(wish.settings), encoding="utf-8")
        (folder / "kustomization.yaml").write_text(
            top(os.path.relpath(overlay, folder), os.path.relpath(manifests(), folder)),
            encoding="utf-8",
        )
        return read_objects(_kustomize(folder))


def environment_file(settings: Mapping[str, str]) -> str:
    """Return settings as kustomize reads them from a file."""
    return "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))


def top(overlay: str, ours: str) -> str:
    """Return the kustomization that lays settings over an overlay; both are relative folders."""
    merged = "".join(
        f"  - {{name: line, namespace: {namespace}, behavior: merge, envs: [line.env]}}\n"
        for namespace in BASE.all
    )
    return (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{overlay}]\nconfigMapGenerator:\n{merged}"
        f"transformers: [{ours}/knative/images]\n"
    )


def read_objects(text: str) -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a YAML stream; raises Rejected."""
    try:
        return tuple(each for each in YAML(typ="safe").load_all(text) if each)
    except YAMLError as error:
        raise Rejected(f"what kustomize made cannot be read: {error}") from error


def program() -> tuple[str, ...]:
    """Return the command that renders a folder; raises Rejected where there is none."""
    if shutil.which("kubectl"):
        return ("kubectl", "kustomize")
    if shutil.which("kustomize"):
        return ("kustomize", "build")
    raise Rejected("neither kubectl nor kustomize is on the PATH: install kubectl 1.27 or newer")


def _kustomize(folder: Path) -> str:
    command = [*program(), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command)} did not end in {_TIMEOUT:.0f} s") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise Rejected(f"kustomize refused the overlay: {said[-1500:]}")
    return done.stdout.decode()
