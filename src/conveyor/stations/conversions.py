"""A conversion as a run: what it is made from, its key, and who asked for it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta

from conveyor.bundle import MANIFEST, MODEL
from conveyor.domain.identity import digest
from conveyor.domain.jobs import JobSpec, Limits
from conveyor.domain.line import Line, Model
from conveyor.domain.objects import bundle_folder, dvc_object, run_folder
from conveyor.domain.versions import Release
from conveyor.errors import NotFound, Rejected
from conveyor.ports import Objects, Tree
from conveyor.stations.lineage import locate, origin_of

KIND = "convert"

EDITION = "3"
"""Raised when a converter changes what it makes: older results are not taken for new ones."""

LIMITS = Limits(timeout=timedelta(minutes=15), memory=4 * 2**30, disk=4 * 2**30)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asked for a conversion, kept beside the run until it ends and for the release after it.

    cause is the asking event's id, source the model file's store key and md5 its hash, train the
    train run's key ("" for an uploaded model), stable the release it is scored against ("" for
    none), rows the md5 of the evaluation rows ("" for a committed file or none).
    """

    cause: str
    model: str
    commit: str
    source: str
    md5: str
    train: str = ""
    stable: str = ""
    rows: str = ""


def remember(objects: Objects, run: str, asked: Asked) -> None:
    """Store who asked, once per cause."""
    text = json.dumps(asdict(asked), sort_keys=True).encode()
    objects.put(f"{_folder(run)}{digest(asked.cause)}.json", text)


def askers(objects: Objects, run: str) -> Iterator[Asked]:
    """Yield everyone who asked for a run."""
    for ref in objects.list(_folder(run)):
        yield Asked(**json.loads(objects.read(ref.key)))


def asker(objects: Objects, run: str, commit: str) -> Asked:
    """Return who asked for a run at a commit, else the first; raises NotFound when nobody did."""
    known = sorted(askers(objects, run), key=lambda asked: (asked.commit != commit, asked.cause))
    if not known:
        raise NotFound(f"nobody asked for the conversion {run}; it has no {_folder(run)}")
    return known[0]


def _folder(run: str) -> str:
    return f"{run_folder(run)}asked/"


def family_of(objects: Objects, source: str) -> str:
    """Return the converter for a model file by its first bytes, never by its name."""
    with objects.open(objects.head(source)) as stream:
        return "sklearn" if stream.read(4) == b"PK\x03\x04" else "onnx"


def specify(
    asked: Asked, line: Line, *, tree: Tree, objects: Objects, stable: Release | None
) -> tuple[JobSpec, Asked]:
    """Return the run that converts what was asked for, and the request with what was found.

    Raises NotFound where the evaluation rows are not there, Rejected where they cannot be used.
    """
    model = line.models[asked.model]
    rows, files = _rows(model, line, tree)
    job = {
        "source": "source",
        "rows": "rows.csv" if model.evaluate else None,
        "label": model.evaluate.label if model.evaluate else None,
        "metric": model.evaluate.metric if model.evaluate else None,
        "schema": "schema.yaml" if "schema.yaml" in files else None,
        "stable": "stable" if stable else None,
        "personal": origin_of(model, line, tree).sensitivity == "personal",
    }
    files["job.json"] = json.dumps(job, sort_keys=True).encode()
    family = family_of(objects, asked.source)
    key = digest(
        *(KIND, EDITION, asked.model, asked.md5, family, stable.digest if stable else ""),
        *(part for path, text in sorted(files.items()) for part in (path, text)),
        rows,
    )
    spec = JobSpec(
        kind=KIND,
        key=key,
        owner=asked.model,
        # -P: nothing in the work folder can stand in for a module.
        command=("python", "-P", "-m", f"conveyor.models.convert.{family}"),
        inputs=_inputs(asked.source, rows, stable),
        files=files,
        limits=LIMITS,
    )
    found = {"stable": stable.digest if stable else "", "rows": rows}
    return spec, Asked(**{**asdict(asked), **found})


def _inputs(source: str, rows: str, stable: Release | None) -> dict[str, str]:
    inputs = {"source": source}
    if rows:
        inputs["rows.csv"] = dvc_object(rows)
    if stable:
        for name in (MODEL, MANIFEST):
            inputs[f"stable/{name}"] = f"{bundle_folder(stable.digest)}{name}"
    return inputs


def _rows(model: Model, line: Line, tree: Tree) -> tuple[str, dict[str, bytes]]:
    """Return the md5 of the evaluation rows ("" where they are a committed file) and the files."""
    if model.evaluate is None:
        return "", {}
    path = model.evaluate.rows
    md5 = locate(path, tree)
    if md5.endswith(".dir"):
        raise Rejected(f"evaluate.rows of {model.name}: {path} is a directory, name one CSV file")
    files = {} if md5 else {"rows.csv": tree.read(path)}
    schema = next((data.schema for data in line.data.values() if data.path == path), None)
    if schema is not None:
        files["schema.yaml"] = tree.read(schema)
    return md5, files
