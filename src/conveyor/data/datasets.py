"""Reads uploads in one pass and keeps their bytes by copies on the bucket's own side."""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO

from conveyor.data.checks import check_csv
from conveyor.data.schema import DEFAULT_FILE, TableSchema, parse_schema
from conveyor.data.stream import CountedStream, DigestedStream, Source
from conveyor.domain.checks import Finding, Reading
from conveyor.domain.objects import (
    ObjectRef,
    directory_ref,
    dvc_object,
    key_fault,
    refused_key,
)
from conveyor.errors import NotFound, Superseded
from conveyor.pointers import dump_manifest, manifest_md5, read_manifest
from conveyor.ports import Objects, Progress, untold

MAX_FINDINGS = 100
"""The most that a directory's reading lists; the last one then says how many more there are."""


class _Read:
    """One read of an upload, over all its files: what they are checked against, who is told."""

    def __init__(self, schema: TableSchema | None, progress: Progress) -> None:
        self.schema = schema
        self._progress = progress
        self._last = CountedStream(BytesIO(), progress)

    def counted(self, source: Source) -> CountedStream:
        """Return the next file's bytes, counted on from those before."""
        self._last = CountedStream(source, self._progress, self._last.count)
        return self._last


class BucketDatasets:
    """The data sets of a bucket, whichever kind of bucket it is."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def read_once(
        self,
        ref: ObjectRef,
        *,
        schema: bytes | None,
        schema_file: str = DEFAULT_FILE,
        progress: Progress = untold,
    ) -> Reading:
        """See Datasets.read_once; schema_file is the schema's path, for the errors of it."""
        read = _Read(None if schema is None else parse_schema(schema, file=schema_file), progress)
        if ref.key.endswith("/"):
            return self._read_directory(ref, read)
        self._still_newest(ref)
        reading = self._read_file(ref, read, must_be_csv=True)
        self._still_newest(ref)
        return reading

    def check_newest(self, ref: ObjectRef) -> None:
        """See Datasets.check_newest; a directory is listed for it."""
        if ref.key.endswith("/"):
            self._members(ref)
        else:
            self._still_newest(ref)

    def keep(self, ref: ObjectRef, reading: Reading) -> None:
        """See Datasets.keep; a directory's manifest is put last, so that it never names what is not
        there.
        """
        if reading.manifest is None:
            self._objects.copy(ref, dvc_object(reading.md5))
            return
        md5s = dict(read_manifest(reading.manifest))
        for member in self._members(ref):
            self._objects.copy(member, dvc_object(md5s[_relative(ref, member)]))
        self._objects.put(dvc_object(reading.md5), reading.manifest)

    def keep_refused(self, ref: ObjectRef, upload: str) -> None:
        """See Datasets.keep_refused; a directory's files are kept below that key by their names."""
        if not ref.key.endswith("/"):
            self._objects.copy(ref, refused_key(upload))
            return
        for member in self._members(ref):
            name = _relative(ref, member)
            if not key_fault(name):
                self._objects.copy(member, f"{refused_key(upload)}/{name}")

    def _read_file(self, ref: ObjectRef, read: "_Read", *, must_be_csv: bool) -> Reading:
        with self._objects.open(ref) as opened:
            stream = read.counted(opened)
            if ref.key.lower().endswith(".csv"):
                return check_csv(stream, read.schema)
            reading = _digest(stream)
        if read.schema is None or not must_be_csv:
            return reading
        message = f"{ref.key} is no .csv file, so its schema cannot be checked; upload it as CSV"
        finding = Finding(check="format", where="file", message=message)
        return Reading(md5=reading.md5, size=reading.size, findings=(finding,))

    def _read_directory(self, ref: ObjectRef, read: "_Read") -> Reading:
        members = self._members(ref)
        names = [_relative(ref, member) for member in members]
        faults = list(_name_faults(names))
        safe = [member for member in members if not key_fault(member.key)]
        readings = {
            _relative(ref, member): self._read_file(member, read, must_be_csv=False)
            for member in safe
        }
        self._members(ref)
        manifest = dump_manifest((name, reading.md5) for name, reading in readings.items())
        findings = [*faults, *_findings(readings)]
        rows = [reading.rows for reading in readings.values() if reading.rows is not None]
        return Reading(
            md5=manifest_md5(manifest),
            size=sum(reading.size for reading in readings.values()),
            rows=sum(rows) if rows else None,
            manifest=manifest,
            files=len(readings),
            findings=tuple(_few(findings)),
        )

    def _members(self, ref: ObjectRef) -> Sequence[ObjectRef]:
        """Return the directory's objects; raises Superseded unless they are those of the ref."""
        members = [member for member in self._objects.list(ref.key) if not member.key.endswith("/")]
        if not members or directory_ref(ref.bucket, ref.key, members).etag != ref.etag:
            msg = f"{ref.key} changed since it was seen; its newer listing is handled by itself"
            raise Superseded(msg)
        return members

    def _still_newest(self, ref: ObjectRef) -> None:
        try:
            newest = self._objects.head(ref.key)
        except NotFound as error:
            msg = f"{ref.key} was deleted since it was seen"
            raise Superseded(msg) from error
        if (newest.version, newest.etag) != (ref.version, ref.etag):
            msg = f"a newer upload of {ref.key} took the place of the one of {ref.modified}"
            raise Superseded(msg)


def _relative(ref: ObjectRef, member: ObjectRef) -> str:
    return member.key.removeprefix(ref.key)


def _digest(stream: Source) -> Reading:
    with DigestedStream(stream) as digested:
        md5 = digested.drain()
    return Reading(md5=md5, size=digested.size)


def _name_faults(names: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each name that would leave the directory or clash with another on a
    disk.
    """
    for name in names:
        if fault := key_fault(name):
            message = f"the name {name!r} {fault}; rename it"
            yield Finding(check="name", where=name, message=message)
    alike = Counter(unicodedata.normalize("NFC", name).casefold() for name in names)
    for name in names:
        if alike[unicodedata.normalize("NFC", name).casefold()] > 1:
            message = f"the name {name!r} is the same as another's on many disks; rename one"
            yield Finding(check="name", where=name, message=message)


def _findings(readings: dict[str, Reading]) -> Iterator[Finding]:
    """Yield the findings of all files, each saying which file it is of."""
    for name, reading in readings.items():
        for finding in reading.findings:
            where = name if finding.where == "file" else posixpath.join(name, finding.where)
            yield Finding(
                check=finding.check,
                where=where,
                message=f"{name}: {finding.message}",
                count=finding.count,
            )


def _few(findings: list[Finding]) -> Iterator[Finding]:
    yield from findings[:MAX_FINDINGS]
    if (more := len(findings) - MAX_FINDINGS) > 0:
        message = f"{more} more findings in this directory"
        yield Finding(check="more", where="directory", message=message, count=more)
