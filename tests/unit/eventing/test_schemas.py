"""The published JSON Schemas say what the code takes."""

import importlib.util
from pathlib import Path

import jsonschema
import pytest

from conveyor.domain.payloads import TYPES, InferenceObserved, OutcomeObserved, ScheduleFired

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schemas():
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "scripts" / "schemas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_code_says(schemas):
    """When this fails: python scripts/schemas.py."""
    found = {path.stem: path.read_text() for path in schemas.FOLDER.glob("*.json")}
    assert found == {kind: schemas.render(kind) for kind in TYPES}


def test_every_schema_is_one(schemas):
    for kind in TYPES:
        jsonschema.Draft202012Validator.check_schema(schemas.schema_of(kind))


@pytest.mark.parametrize(
    "payload",
    [
        ScheduleFired(schedule="minute", tick="2026-01-01T00:00:00Z", commit="c"),
        OutcomeObserved(prediction="p", outcome=0.5),
        InferenceObserved(model="m", revision="r", instance="i", window=1, summary={"a": [1]}),
    ],
)
def test_what_a_payload_gives_fits_its_schema(schemas, payload):
    jsonschema.validate(payload.to_data(), schemas.schema_of(payload.event_type()))


@pytest.mark.parametrize("change", [{"tick": 5}, {"tick": None}, {"model": 1}])
def test_what_the_code_refuses_the_schema_refuses(schemas, change):
    payload = ScheduleFired(schedule="minute", tick="t", commit="c")
    data = {**payload.to_data(), **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {name: value for name, value in data.items() if value is not None},
            schemas.schema_of(payload.event_type()),
        )
