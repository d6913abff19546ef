"""A converted model before it is a release: its manifest, and what speaks against it."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conveyor.bundle import MODEL, Lineage, Manifest, put_bundle, read_signature
from conveyor.domain.line import Line, Model
from conveyor.domain.metrics import passes_gate
from conveyor.domain.objects import run_folder
from conveyor.domain.payloads import ModelConverted
from conveyor.domain.versions import ABORTED, STABLE, Registry, Release
from conveyor.errors import Rejected
from conveyor.ports import Objects, Tree
from conveyor.stations.conversions import asker
from conveyor.stations.lineage import origin_of


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How candidate and stable did on the same rows; name None where no metric is declared.

    stable is None where none serves, or where it cannot answer these rows (reason says why).
    """

    name: str | None
    candidate: float | None
    stable: float | None
    rows: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A converted model with all that its release would say, and how it was scored."""

    manifest: Manifest
    scores: Scores
    run: str


def read_candidate(
    converted: ModelConverted, model: Model, line: Line, *, tree: Tree, objects: Objects
) -> Candidate:
    """Read a conversion's report; raises NotFound, or Rejected when the report is not ours."""
    report = json.loads(objects.read(f"{run_folder(converted.run)}outputs/report.json"))
    asked = asker(objects, converted.run, converted.commit)
    origin = origin_of(model, line, tree)
    lineage = Lineage(
        commit=converted.commit,
        run=asked.train,
        source=asked.md5,
        rows=asked.rows,
        data=dict(origin.data),
        code=origin.code,
        sensitivity=origin.sensitivity,
    )
    try:
        manifest = _manifest(model.name, report, lineage)
        scores = _scores(report["metrics"])
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected(
            f"the report of conversion {converted.run} is broken: {error!r}; delete "
            f"{run_folder(converted.run)} and convert again"
        ) from error
    if manifest.onnx != converted.onnx:
        raise Rejected(f"the event names ONNX {converted.onnx}, its run made {manifest.onnx}")
    return Candidate(manifest=manifest, scores=scores, run=converted.run)


def _manifest(model: str, report: Mapping[str, Any], lineage: Lineage) -> Manifest:
    metrics = report["metrics"]
    return Manifest(
        model=model,
        onnx=report["onnx"],
        size=report["size"],
        signature=read_signature(report["signature"]),
        sample=report["sample"],
        lineage=lineage,
        classes=tuple(report["classes"]),
        deciles=tuple(report["deciles"]),
        metrics={metrics["name"]: metrics["candidate"]} if metrics["name"] else {},
        parity=report["parity"],
    )


def _scores(metrics: Mapping[str, Any]) -> Scores:
    return Scores(
        name=metrics["name"],
        candidate=metrics["candidate"],
        stable=metrics["stable"],
        rows=metrics["rows"],
        reason=metrics.get("stable_reason", ""),
    )


def refusal(candidate: Candidate, model: Model, registry: Registry) -> str:
    """Return why a candidate may not be released, "" where nothing speaks against it."""
    onnx = candidate.manifest.onnx
    if onnx in registry.refused_onnx():
        tags = [_tag(registry, end.release) for end in registry.endings if end.onnx == onnx]
        return (
            f"this very ONNX was rolled back before, as {tags[-1]}: it is not released again by "
            f"itself; change data or code, or roll out that release by hand"
        )
    scores = candidate.scores
    if scores.name is None:
        return ""
    passed, reasons = passes_gate(model.gate, scores.name, scores.candidate, scores.stable)
    return "" if passed else f"{'; '.join(reasons)} {_context(scores, registry)}"


def was_aborted(release: Release, registry: Registry) -> bool:
    """Whether a person ended its rollout and nobody made it stable."""
    stages = {ending.stage for ending in registry.endings if ending.release == release.digest}
    return ABORTED in stages and STABLE not in stages


def store(candidate: Candidate, objects: Objects) -> str:
    """Put the candidate's bundle into the store and return its digest."""
    with tempfile.TemporaryDirectory(prefix="conveyor-") as folder:
        path = Path(folder) / MODEL
        objects.download(f"{run_folder(candidate.run)}outputs/{MODEL}", path)
        return put_bundle(objects, candidate.manifest, path)


def _context(scores: Scores, registry: Registry) -> str:
    """Say what the score is to be compared with."""
    rows = f"{scores.rows} rows"
    if registry.stable is None:
        return f"(on {rows}; no release is stable yet)"
    if scores.stable is None:
        why = f": {scores.reason}" if scores.reason else ""
        return f"(on {rows}; stable {registry.stable.tag} was not scored{why})"
    return f"(stable {registry.stable.tag} has {scores.stable:.4g} on the same {rows})"


def _tag(registry: Registry, digest: str) -> str:
    return next((each.tag for each in registry.releases if each.digest == digest), digest[:12])
