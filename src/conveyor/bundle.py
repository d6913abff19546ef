"""The release bundle: `model.onnx` and `manifest.json`, addressed by the manifest's sha256.

A bundle lies in the bucket below `bundle_folder(release)`. The manifest names the ONNX file by its
sha256, so the release's digest pins both files; nothing in it depends on when it was made.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from conveyor.domain.objects import BUNDLE_MANIFEST, BUNDLE_MODEL, bundle_folder
from conveyor.errors import NotFound, Rejected

MODEL, MANIFEST = BUNDLE_MODEL, BUNDLE_MANIFEST
SCHEMA = "dev.conveyor.manifest.v1"
MAX_MANIFEST_BYTES = 4 * 2**20

DATATYPES = (
    *("BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
)
"""The tensor types of the Open Inference Protocol; BYTES are strings."""


class Bucket(Protocol):
    """What a bundle needs of ports.Objects; all ports would delay each start of a model."""

    def read(self, key: str) -> bytes:
        """Return a small object's bytes; raises NotFound."""
        ...

    def put(self, key: str, body: bytes | Path) -> None:
        """Store bytes or a file's contents once."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Write an object's bytes to a file that does not exist yet; raises NotFound."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One input or output.

    shape has -1 where the size is free; features name the columns where they are known.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and gives, in the order of the ONNX graph."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where a release comes from: what `conveyor trace` shows of it.

    run is the train run's key ("" for an uploaded model), source the md5 of the model file that was
    converted, data maps each data set's path to its md5 in DVC, rows is the md5 of the evaluation
    rows, code a digest over code, parameters and commands ("" where there are none), sensitivity
    the strictest of its data's.
    """

    commit: str
    run: str = ""
    source: str = ""
    rows: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    sensitivity: str = "personal"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a release says about itself.

    onnx is the sha256 of model.onnx, size its bytes. classes are a classifier's labels in the order
    of its probabilities, deciles the nine boundaries of a regressor's predictions on its evaluation
    rows (either may be empty). sample is {"request": ..., "response": ...} in the Open Inference
    Protocol's JSON: what the release answered when it was made. metrics are the candidate's own;
    parity compares it with its source.
    """

    model: str
    onnx: str
    size: int
    signature: Signature
    sample: Mapping[str, Any]
    lineage: Lineage
    classes: tuple[str | int, ...] = ()
    deciles: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return canonical JSON (sorted keys, no spaces); raises Rejected on NaN or infinity."""
        try:
            return canonical({"schema": SCHEMA, **asdict(self)})
        except ValueError as error:
            raise Rejected(f"the manifest of {self.model} cannot be written: {error}") from error

    @property
    def digest(self) -> str:
        """The release's digest: sha256 of the canonical JSON."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Build one from the parts of a JSON object; raises KeyError, TypeError or ValueError."""
        return cls(
            model=_text(data, "model"),
            onnx=_sha256(data, "onnx"),
            size=_count(data, "size"),
            signature=read_signature(data["signature"]),
            sample=_mapping(data, "sample"),
            lineage=Lineage(**_mapping(data, "lineage")),
            classes=tuple(data["classes"]),
            deciles=tuple(float(value) for value in data["deciles"]),
            metrics=_mapping(data, "metrics"),
            parity=_mapping(data, "parity"),
        )


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, no spaces and no NaN; raises ValueError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def read_signature(data: Mapping[str, Any]) -> Signature:
    """Read {"inputs": [...], "outputs": [...]}; raises KeyError, TypeError or ValueError."""
    return Signature(
        inputs=tuple(_tensor(each) for each in data["inputs"]),
        outputs=tuple(_tensor(each) for each in data["outputs"]),
    )


def read_manifest(text: bytes) -> Manifest:
    """Read a manifest strictly; raises Rejected that says what is wrong with it.

    It must be exactly the canonical JSON, for its digest is its name.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise Rejected(f"a manifest of {len(text)} bytes is over the limit of {MAX_MANIFEST_BYTES}")
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise Rejected(f"not a release manifest: it must be a JSON object of schema {SCHEMA}")
        manifest = Manifest.from_data(data)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Rejected(f"not a release manifest: {type(error).__name__}: {error}") from error
    if manifest.to_json() != text:
        raise Rejected(
            f"the manifest of {manifest.model} is not in canonical form or has unknown fields"
        )
    return manifest


def put_bundle(objects: Bucket, manifest: Manifest, model: Path) -> str:
    """Store a bundle, once; the manifest last, so that a bundle with a manifest is whole.

    Returns the release's digest; raises Rejected when the file is not the one the manifest names.
    """
    _verify_model(model, manifest)
    release = manifest.digest
    objects.put(bundle_folder(release) + MODEL, model)
    objects.put(bundle_folder(release) + MANIFEST, manifest.to_json())
    return release


def load_manifest(objects: Bucket, release: str) -> Manifest:
    """Read a stored release's manifest; raises NotFound, or Rejected on a digest that differs."""
    return _verified(objects.read(bundle_folder(release) + MANIFEST), release)


def fetch_bundle(objects: Bucket, release: str, directory: Path) -> Manifest:
    """Download a bundle into a folder (made where absent) and verify both digests.

    What is there already is verified too, and kept. Raises NotFound, or Rejected when a digest does
    not match.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, MANIFEST):
        if not (directory / name).exists():
            objects.download(bundle_folder(release) + name, directory / name)
    return open_bundle(directory, release)


def open_bundle(directory: Path, release: str | None = None) -> Manifest:
    """Read a bundle on disk and verify it, against the release's digest where given.

    Raises NotFound or Rejected.
    """
    try:
        text = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise NotFound(f"there is no bundle in {directory}: {error}") from error
    manifest = _verified(text, release) if release else read_manifest(text)
    _verify_model(directory / MODEL, manifest)
    return manifest


def _verified(text: bytes, release: str) -> Manifest:
    found = hashlib.sha256(text).hexdigest()
    if found != release:
        raise Rejected(f"the manifest's sha256 is {found}, not the release {release} it lies under")
    return read_manifest(text)


def _verify_model(model: Path, manifest: Manifest) -> None:
    try:
        with model.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise NotFound(f"the bundle of {manifest.model} has no {model.name}: {error}") from error
    if found != manifest.onnx:
        raise Rejected(
            f"{model.name} of {manifest.model} has sha256 {found}, "
            f"its manifest names {manifest.onnx}"
        )


def _tensor(data: Mapping[str, Any]) -> Tensor:
    tensor = Tensor(
        name=_text(data, "name"),
        datatype=_text(data, "datatype"),
        shape=tuple(data["shape"]),
        features=tuple(data.get("features", ())),
    )
    sizes_fit = all(isinstance(size, int) and size >= -1 for size in tensor.shape)
    if tensor.datatype not in DATATYPES or not sizes_fit:
        raise ValueError(f"tensor {tensor.name!r} is {tensor.datatype} of shape {tensor.shape}")
    return tensor


def _text(data: Mapping[str, Any], name: str) -> str:
    if not isinstance(data[name], str) or not data[name]:
        raise ValueError(f"{name} is {data[name]!r}, expected text")
    return str(data[name])


def _sha256(data: Mapping[str, Any], name: str) -> str:
    text = _text(data, name)
    if len(text) != hashlib.sha256().digest_size * 2 or not set(text) <= set("0123456789abcdef"):
        raise ValueError(f"{name} is {text!r}, expected a sha256 in hex")
    return text


def _count(data: Mapping[str, Any], name: str) -> int:
    if not isinstance(data[name], int) or isinstance(data[name], bool) or data[name] < 0:
        raise ValueError(f"{name} is {data[name]!r}, expected a count")
    return int(data[name])


def _mapping(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(data[name], dict):
        raise TypeError(f"{name} is {data[name]!r}, expected an object")
    return dict(data[name])
