"""DVC's own files, written and read without DVC: pointers (`*.dvc`) and directory manifests
(`.dir`).

Written here because DVC would need a work tree with the data in it, and a graph check of every
pointer, to record one; `dvc pull`, `dvc status` and `dvc add` agree with what this module writes
(tests/integration/test_dvc.py).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from conveyor.domain.objects import ObjectRef
from conveyor.errors import InvalidLine

DIRECTORY = ".dir"
"""What DVC's hash of a directory ends with."""

MAX_POINTER_BYTES = 256 * 1024
_MD5_DIGITS = 32
_MAX_FLOWS = 200
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The version of an object of a bucket that a pointer without a copy of its own pins (`copy:
    false`).
    """

    url: str
    version: str
    etag: str

    @classmethod
    def of(cls, ref: ObjectRef) -> "Source":
        """Return the source that pins an object of an S3 bucket; raises InvalidLine without
        versions.
        """
        if not ref.version:
            msg = (
                f"`copy: false` needs a bucket with versions; {ref.bucket}/{ref.key} has none. "
                f"Switch versioning on before the upload, or set `copy: true`"
            )
            raise InvalidLine(msg)
        return cls(url=f"s3://{ref.bucket}/{ref.key}", version=ref.version, etag=ref.etag)


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What a `.dvc` file says. path is relative to the file; md5 ends with ".dir" for a directory.

    size is in bytes; files counts a directory's. rows, verdict (store key), upload (event id),
    owner and sensitivity are Conveyor's own, kept in DVC's free `meta`; they are None in pointers
    that people made.
    """

    path: str
    md5: str
    size: int | None = None
    files: int | None = None
    rows: int | None = None
    verdict: str | None = None
    upload: str | None = None
    owner: str | None = None
    sensitivity: str | None = None
    source: Source | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it points to a directory."""
        return self.md5.endswith(DIRECTORY)


_OURS = ("verdict", "upload", "rows", "owner", "sensitivity")


def dump_pointer(pointer: Pointer) -> bytes:
    """Return the `.dvc` file. Strings are quoted, for an md5 of digits alone would be read as a
    number.
    """
    out = {
        "md5": pointer.md5,
        "size": pointer.size,
        "nfiles": pointer.files,
        "hash": "md5",
        "path": pointer.path,
    }
    lines: list[str] = []
    if pointer.source is not None:
        pinned = {
            "path": pointer.source.url,
            "version_id": pointer.source.version,
            "etag": pointer.source.etag,
            "size": pointer.size,
        }
        lines += ["frozen: true", "deps:", *_item(pinned)]
        out["push"] = False
    lines += ["outs:", *_item(out)]
    ours = {name: getattr(pointer, name) for name in _OURS}
    if any(value is not None for value in ours.values()):
        lines += ["meta:", "  conveyor:"]
        lines += [f"    {_entry(name, value)}" for name, value in ours.items() if value is not None]
    return ("\n".join(lines) + "\n").encode()


def _item(values: Mapping[str, str | int | None]) -> list[str]:
    entries = [_entry(name, value) for name, value in values.items() if value is not None]
    return [f"{'- ' if number == 0 else '  '}{entry}" for number, entry in enumerate(entries)]


def _entry(name: str, value: str | int) -> str:
    text = json.dumps(value, ensure_ascii=False)  # a JSON string is a quoted YAML one ...
    return f"{name}: {_UNPRINTABLE.sub(_escape, text)}"


def _escape(found: re.Match[str]) -> str:
    """Return the escape (the same in JSON and YAML) of a letter that YAML does not take as it
    is.
    """
    return f"\\u{ord(found[0]):04x}"


def read_pointer(text: bytes, *, file: str = "a pointer") -> Pointer:
    """Read a `.dvc` file that Conveyor or DVC 3 wrote; raises InvalidLine naming the file and what
    is wrong.
    """
    content = _load(text, file)
    try:
        (out,) = content["outs"]
        ours = (content.get("meta") or {}).get("conveyor") or {}
        return Pointer(
            path=_relative(out["path"]),
            md5=_md5(out),
            size=_number(out, "size"),
            files=_number(out, "nfiles"),
            rows=_number(ours, "rows"),
            source=_source(content),
            **{name: ours.get(name) for name in _OURS if name != "rows"},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{file}: not a DVC 3 pointer to one file or directory ({error}); use `dvc add`"
        raise InvalidLine(msg) from error


def _load(text: bytes, file: str) -> Any:
    if len(text) > MAX_POINTER_BYTES:
        msg = f"{file}: {len(text)} bytes are too many for a pointer (at most {MAX_POINTER_BYTES})"
        raise InvalidLine(msg)
    if text.count(b"[") + text.count(b"{") > _MAX_FLOWS:
        msg = f"{file}: nested too deeply for a pointer; write it by `dvc add`"
        raise InvalidLine(msg)
    try:
        # the base loader leaves every scalar a string: an unquoted md5 of digits stays what it is
        return YAML(typ="base", pure=True).load(StringIO(text.decode()))
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{file}: not YAML ({' '.join(str(error).split())[:200]}); write it by `dvc add`"
        raise InvalidLine(msg) from error


def _md5(out: Mapping[str, str]) -> str:
    md5 = out["md5"]
    digits = md5.removesuffix(DIRECTORY)
    if len(digits) != _MD5_DIGITS or set(digits) - set("0123456789abcdef"):
        msg = f"md5 is {md5!r}"
        raise ValueError(msg)
    if out.get("hash") != "md5":
        msg = "it lacks `hash: md5`; DVC 2 wrote it: `dvc cache migrate --dvc-files` mends that"
        raise ValueError(msg)
    return md5


def _number(values: Mapping[str, str], name: str) -> int | None:
    return int(values[name]) if name in values else None


def _relative(path: str) -> str:
    if path.startswith("/") or ".." in PurePosixPath(path).parts or not path:
        msg = f"path is {path!r}, which leaves its folder"
        raise ValueError(msg)
    return path


def _source(content: Mapping[str, Any]) -> Source | None:
    for dep in content.get("deps") or ():
        if "version_id" in dep:
            return Source(
                url=dep["path"], version=dep["version_id"], etag=dep.get("etag", "").strip('"')
            )
    return None


def dump_manifest(entries: Iterable[tuple[str, str]]) -> bytes:
    """Return DVC's manifest of a directory from (relative path, md5) pairs, byte for byte as DVC
    does.
    """
    listed = [{"md5": md5, "relpath": path} for path, md5 in sorted(entries)]
    return json.dumps(listed, sort_keys=True).encode()


def manifest_md5(manifest: bytes) -> str:
    """Return the hash that names a directory: the md5 of its manifest, and ".dir"."""
    return hashlib.md5(manifest, usedforsecurity=False).hexdigest() + DIRECTORY


def read_manifest(
    text: bytes, *, file: str = "a directory manifest"
) -> tuple[tuple[str, str], ...]:
    """Return the (relative path, md5) pairs of a manifest; raises InvalidLine where a path leaves
    it.
    """
    try:
        return tuple(
            (_relative(entry["relpath"]), _md5({**entry, "hash": "md5"}))
            for entry in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{file}: not a directory manifest of DVC ({error}); version the directory anew"
        raise InvalidLine(msg) from error
