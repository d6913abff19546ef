"""From the plain values of a conveyor.yaml that keeps to its schema to the line they declare."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, TypeVar

from conveyor.domain.line import (
    Complete,
    Dataset,
    Evaluate,
    Gate,
    GitPolicy,
    Line,
    Model,
    Retrain,
    RolloutPolicy,
    Serve,
    Train,
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {
    **{prefix: 1000**power for power, prefix in enumerate("kMGT", start=1)},
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}
_DURATIONS = {"deadline", "quiet", "timeout", "idle"}
_SIZES = {"memory"}

_Declared = TypeVar("_Declared", Complete, Evaluate, Gate, GitPolicy, Retrain, Serve, Train)


def duration(text: str) -> timedelta:
    """Read a duration like 30s, 1m, 24h or 7d; raises ValueError."""
    return timedelta(seconds=_quantity(text, _SECONDS))


def size(text: str) -> int:
    """Read a size like 256Mi or 2Gi and return bytes; raises ValueError."""
    return round(_quantity(text, _BYTES))


def read_line(values: Mapping[str, Any]) -> Line:
    """Return the line that the values declare; they keep to the schema and to `rules`."""
    policy = _rollout(values.get("rollout", {}), RolloutPolicy())
    return Line(
        name=values["line"],
        bucket=values.get("bucket", Line.bucket),
        git=_section(GitPolicy, values.get("git", {})),
        data={name: _dataset(name, given) for name, given in values.get("data", {}).items()},
        models={
            name: _model(name, given, policy) for name, given in values.get("models", {}).items()
        },
    )


def _quantity(text: str, units: Mapping[str, int]) -> float:
    number = text.rstrip("".join(set("".join(units))))
    return float(number) * units.get(text[len(number) :], float("nan"))


def _dataset(name: str, given: Mapping[str, Any]) -> Dataset:
    complete = _section(Complete, given["complete"]) if "complete" in given else None
    return Dataset(name=name, **{**given, "complete": complete})


def _model(name: str, given: Mapping[str, Any], policy: RolloutPolicy) -> Model:
    return Model(
        name=name,
        train=_section(Train, given["train"]) if "train" in given else None,
        upload=given.get("upload"),
        retrain=_section(Retrain, given["retrain"]) if "retrain" in given else None,
        evaluate=_section(Evaluate, given["evaluate"]) if "evaluate" in given else None,
        gate=_section(Gate, given.get("gate", {})),
        serve=_section(Serve, given.get("serve", {})),
        rollout=_rollout(given.get("rollout", {}), policy),
    )


def _rollout(given: Mapping[str, Any], default: RolloutPolicy) -> RolloutPolicy:
    values = {name: _value(name, value) for name, value in given.items()}
    if "steps" in values:
        values["steps"] = tuple(values["steps"])
    return replace(default, **values)


def _section(kind: type[_Declared], given: Mapping[str, Any]) -> _Declared:
    known = {field.name for field in fields(kind)}
    return kind(**{name: _value(name, value) for name, value in given.items() if name in known})


def _value(name: str, value: Any) -> Any:
    if name in _DURATIONS:
        return duration(value)
    return size(value) if name in _SIZES else value
