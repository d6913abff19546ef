"""What every converter is asked and how it answers: `job.json` in, `out/` with a report out."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from conveyor.errors import Rejected
from conveyor.models.onnxmodel import OnnxModel
from conveyor.models.parity import Parity

JOB = "job.json"
OUT = "out"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One conversion, from job.json; paths are files of the work folder, None where not given.

    rows is the CSV of evaluation rows, label its target column and metric a name of
    `conveyor.domain.metrics`; schema is its Table Schema; stable is a release's bundle folder.
    personal forbids that values of single rows leave the job.
    """

    source: Path
    rows: Path | None
    label: str | None
    metric: str | None
    schema: Path | None
    stable: Path | None
    personal: bool

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """Read a work folder's job.json; raises KeyError or ValueError (our station wrote it)."""
        job = json.loads((folder / JOB).read_bytes())
        paths = {
            name: folder / job[name] if job.get(name) else None
            for name in ("rows", "schema", "stable")
        }
        return cls(
            source=folder / job["source"],
            label=job.get("label"),
            metric=job.get("metric"),
            personal=bool(job.get("personal", True)),
            **paths,
        )


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An ONNX model that answers as its source; onnx holds the bytes as they will be served."""

    onnx: bytes
    model: OnnxModel
    parity: Parity
    classes: tuple[str | int, ...] = ()
    warnings: tuple[str, ...] = ()
    packages: tuple[str, ...] = field(default=("onnx", "onnxruntime"))

    def versions(self) -> dict[str, str]:
        """Return the versions of what made and checked it."""
        return {"python": platform.python_version()} | {
            name: version(name) for name in self.packages
        }


def answer(
    folder: Path, work: Callable[[Task], tuple[Converted, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Do the work of a folder and write out/: model.onnx and report.json, or only why not.

    A refusal is an answer, not a failure; whatever else is raised ends the process with its trace.
    """
    out = folder / OUT
    out.mkdir(exist_ok=True)
    report: dict[str, Any]
    try:
        made, found = work(Task.read(folder))
    except Rejected as error:
        report = {"state": "refused", "reason": str(error)}
    else:
        (out / "model.onnx").write_bytes(made.onnx)
        report = {
            "state": "converted",
            "reason": "",
            "warnings": list(made.warnings),
            "signature": asdict(made.model.signature),
            "classes": list(made.classes),
            "parity": made.parity.to_report(),
            "versions": made.versions(),
            **found,
        }
    text = json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n")
    return report
