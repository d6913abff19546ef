import hashlib
import json
from dataclasses import replace

import pytest

from conveyor.bundle import (
    Lineage,
    Manifest,
    Signature,
    Tensor,
    fetch_bundle,
    load_manifest,
    put_bundle,
    read_manifest,
)
from conveyor.data.memory import MemoryObjects
from conveyor.domain.objects import bundle_folder
from conveyor.errors import NotFound, Rejected

ONNX = b"an onnx"
MANIFEST = Manifest(
    model="wine",
    onnx=hashlib.sha256(ONNX).hexdigest(),
    size=len(ONNX),
    signature=Signature(
        inputs=(Tensor(name="input", datatype="FP32", shape=(-1, 2), features=("a", "ö")),),
        outputs=(Tensor(name="label", datatype="INT64", shape=(-1,)),),
    ),
    sample={"request": {"inputs": []}, "response": {"outputs": []}},
    lineage=Lineage(commit="c" * 40, data={"data/wine.csv": "0" * 32}),
    classes=(0, 1),
    metrics={"accuracy": 0.9},
)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(ONNX)
    return path


def test_a_manifest_reads_back_as_it_was_written():
    assert read_manifest(MANIFEST.to_json()) == MANIFEST


def test_the_release_digest_is_the_sha256_of_the_manifest_file():
    assert hashlib.sha256(MANIFEST.to_json()).hexdigest() == MANIFEST.digest
    assert replace(MANIFEST, model="beer").digest != MANIFEST.digest


def test_a_bundle_comes_back_whole(model, tmp_path):
    objects = MemoryObjects()
    release = put_bundle(objects, MANIFEST, model)
    assert fetch_bundle(objects, release, tmp_path / "bundle") == MANIFEST
    assert fetch_bundle(objects, release, tmp_path / "bundle") == MANIFEST
    assert load_manifest(objects, release) == MANIFEST


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_file_changed_in_the_bucket_is_refused(model, tmp_path, name):
    objects = MemoryObjects()
    release = put_bundle(objects, MANIFEST, model)
    objects.upload(bundle_folder(release) + name, b"{}")
    with pytest.raises(Rejected, match="sha256"):
        fetch_bundle(objects, release, tmp_path / "bundle")


def test_a_model_that_the_manifest_does_not_name_is_never_stored(model):
    model.write_bytes(b"another")
    objects = MemoryObjects()
    with pytest.raises(Rejected, match="its manifest names"):
        put_bundle(objects, MANIFEST, model)
    assert not objects.stored


def test_a_bundle_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        fetch_bundle(MemoryObjects(), "0" * 64, tmp_path / "bundle")


def changed(**fields: object) -> bytes:
    return json.dumps(
        json.loads(MANIFEST.to_json()) | fields, sort_keys=True, separators=(",", ":")
    ).encode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a release manifest"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "not a release manifest"),
        (b"[" * 100_000, "not a release manifest"),
        (changed(schema="v9"), "schema"),
        (changed(onnx="abc"), "expected a sha256"),
        (changed(size=-1), "expected a count"),
        (changed(model=""), "expected text"),
        (changed(surprise=1), "canonical"),
        (changed(signature={"inputs": []}), "outputs"),
        (changed(lineage={"commit": "c", "times": 3}), "times"),
        (MANIFEST.to_json() + b" ", "canonical"),
        (b" " * (4 * 2**20 + 1), "over the limit"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text, says):
    with pytest.raises(Rejected, match=says):
        read_manifest(text)


def test_a_metric_that_is_not_a_number_never_gets_into_a_manifest():
    with pytest.raises(Rejected, match="cannot be written"):
        replace(MANIFEST, metrics={"accuracy": float("nan")}).to_json()
