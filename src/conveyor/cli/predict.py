"""`conveyor predict`: ask a model in the Open Inference Protocol."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from conveyor.cli.client import NotReachable
from conveyor.cli.models import describe, find_model
from conveyor.cli.session import Session, with_engine
from conveyor.cli.show import console, print_json, table
from conveyor.errors import ConveyorError, Rejected

Row = Mapping[str, str]
_MAX_ROWS = 10_000
_TEXT = "BYTES"


@click.command(
    epilog="""\b
Examples:
  conveyor predict wine --rows data/wine-holdout.csv
  conveyor predict wine --data '{"alcohol": 13.2, "malic_acid": 1.8}'
  conveyor predict wine < request.json          (a request of the protocol)
"""
)
@click.argument("model")
@click.option(
    "--rows",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV file with a header; columns that the model does not take are left out.",
)
@click.option("--data", help="JSON: a row, a list of rows, or a request of the protocol.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1, _MAX_ROWS),
    default=_MAX_ROWS,
    help="Only the first rows of the file.",
)
@with_engine
def predict(
    session: Session, model: str, *, rows: Path | None, data: str | None, limit: int
) -> None:
    """Ask MODEL; rows come from --rows, --data or standard input.

    Prints a prediction per row, and the prediction's id, which `conveyor trace` takes.
    """
    if rows is not None and data is not None:
        raise click.UsageError("give --rows or --data, not both")
    given = _read_csv(rows, limit) if rows else _read_json(data or sys.stdin.read())
    request = given if isinstance(given, Mapping) else _request(session, model, given)
    try:
        answer = session.client.infer(model, request)
    except NotReachable:
        raise
    except ConveyorError as error:
        if session.client.releases(model)["releases"]:
            raise
        raise _nothing_yet(session, model) from error
    if session.json:
        print_json(answer)
        return
    outputs = answer["outputs"]
    columns = [output["name"] for output in outputs]
    lists = [_per_row(output) for output in outputs]
    out = console()
    out.print(table("", ["row", *columns], _numbered(lists)))
    prediction = answer.get("parameters", {}).get("prediction_id", "-")
    out.print(
        f"prediction id: {prediction}   (conveyor trace {prediction})", style="dim", soft_wrap=True
    )


def _numbered(lists: Sequence[Sequence[str]]) -> list[list[Any]]:
    return [[number, *values] for number, values in enumerate(zip(*lists, strict=True), start=1)]


def _read_csv(file: Path, limit: int) -> list[Row]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows: list[Row] = [
                row for _, row in zip(range(limit), csv.DictReader(stream), strict=False)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"{file} cannot be read as CSV: {error}") from error
    if not rows:
        raise Rejected(f"{file} has no rows below its header")
    return rows


def _read_json(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the data is not JSON: {error}") from error
    if isinstance(value, dict):
        return value if "inputs" in value else [value]
    rows = value if isinstance(value, list) else []
    if rows and not any(isinstance(each, dict | list) for each in rows):
        rows = [rows]  # one row, without names
    if not rows or not all(isinstance(each, type(rows[0])) for each in rows):
        raise Rejected(
            'the data must be a row like {"COLUMN": 13.2} or [13.2, 1.8], or a list of such rows'
        )
    return rows


def _request(session: Session, model: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the protocol's request for rows, by the signature of the model's stable release."""
    inputs = _signature(session, model)
    if isinstance(rows[0], list):
        rows = _named(inputs, rows)
    tensors = [_columns(spec, rows) for spec in inputs]
    return {"inputs": tensors}


def _named(inputs: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return rows without names as rows with the names of the only input's columns."""
    if len(inputs) != 1:
        known = ", ".join(each["name"] for each in inputs)
        raise Rejected(f"a row of this model needs names: it has the inputs {known}")
    spec = inputs[0]
    wide = len(spec["shape"]) > 1 and spec["shape"][-1] > 1
    names = list(spec["features"]) or [spec["name"]]
    if not spec["features"] and wide:
        names = [str(at) for at in range(int(spec["shape"][-1]))]
    for at, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise Rejected(
                f"row {at} has {len(row)} values, the model takes {len(names)}: {', '.join(names)}"
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


def _signature(session: Session, model: str) -> list[Mapping[str, Any]]:
    known = session.client.releases(model)["releases"]
    if not known:
        raise _nothing_yet(session, model)
    chosen = next((each for each in known if each["stable"]), known[0])
    manifest = session.client.manifest(model, chosen["release"])["manifest"]
    inputs: list[Mapping[str, Any]] = manifest["signature"]["inputs"]
    return inputs


def _nothing_yet(session: Session, model: str) -> Rejected:
    """Return why a model cannot be asked."""
    board = session.client.status()
    row = find_model(board, model)
    if row is None:
        names = ", ".join(each["name"] for each in board["models"]) or "none"
        return Rejected(f"the line has no model {model!r}; its models: {names}")
    return Rejected(f"{model} has no release yet: {describe(row)}")


def _columns(spec: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return one input: the columns that it names, or its own name's, of every row."""
    features = list(spec["features"]) or [spec["name"]]
    width = len(features)
    if len(spec["features"]) == 0 and len(spec["shape"]) > 1 and spec["shape"][-1] > 1:
        width = int(spec["shape"][-1])
        features = list(rows[0])[:width]
    convert = _converter(spec["datatype"])
    data = [_value(row, name, convert, at) for at, row in enumerate(rows, 1) for name in features]
    shape = [len(rows)] if len(spec["shape"]) == 1 else [len(rows), width]
    return {"name": spec["name"], "datatype": spec["datatype"], "shape": shape, "data": data}


def _value(row: Row, name: str, convert: Callable[[Any], Any], at: int) -> Any:
    if name not in row:
        raise Rejected(f"row {at} has no column {name!r}; it has: {', '.join(map(str, row))}")
    try:
        return convert(row[name])
    except (TypeError, ValueError) as error:
        raise Rejected(f"row {at}: {name} is {row[name]!r}, which the model cannot take") from error


def _converter(datatype: str) -> Callable[[Any], Any]:
    if datatype == _TEXT:
        return lambda value: "" if value is None else str(value)
    if datatype == "BOOL":
        return lambda value: str(value).strip().lower() in {"true", "1", "yes"}
    if datatype.startswith("FP"):
        return lambda value: None if value in {"", None} else float(value)
    return int


def _per_row(output: Mapping[str, Any]) -> list[str]:
    """Return one text per row: an element, or a row of a matrix."""
    shape, data = output["shape"], output["data"]
    width = 1
    for size in shape[1:]:
        width *= size
    if width == 1:
        return [_short(value) for value in data]
    rows = [data[start : start + width] for start in range(0, len(data), width)]
    return [", ".join(_short(value) for value in row) for row in rows]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
