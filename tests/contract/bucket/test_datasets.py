"""The promises of the Datasets port over every kind of bucket."""

import hashlib

import pytest

from conveyor.data.datasets import BucketDatasets
from conveyor.domain.objects import directory_ref, dvc_object, refused_key
from conveyor.errors import InvalidLine, NotFound, Rejected, Superseded
from conveyor.pointers import read_manifest

CSV = b"a,b\n1,x\n2,y\n"
SCHEMA = b"fields: [{name: a, type: integer}, {name: b}]"


@pytest.fixture
def datasets(bucket):
    return BucketDatasets(bucket.objects)


def md5_of(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def folder(bucket, key="set/"):
    return directory_ref(bucket.objects.name, key, bucket.objects.list(key))


def test_a_file_is_read_checked_and_kept_by_its_digest(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    ref = bucket.objects.head("wine.csv")
    reading = datasets.read_once(ref, schema=SCHEMA)
    assert (reading.rows, reading.findings, reading.manifest) == (2, (), None)
    for _ in range(2):
        datasets.keep(ref, reading)
    assert (
        bucket.objects.read(dvc_object(hashlib.md5(CSV, usedforsecurity=False).hexdigest())) == CSV
    )


def test_a_directory_is_kept_with_its_manifest(bucket, datasets):
    for name, body in (("a.csv", CSV), ("deep/b.csv", CSV + b"3,z\n"), ("image.png", b"\x89\0")):
        bucket.upload(f"set/{name}", body)
    ref = folder(bucket)
    reading = datasets.read_once(ref, schema=SCHEMA)
    assert (reading.rows, reading.files, reading.findings) == (5, 3, ())
    datasets.keep(ref, reading)
    assert bucket.objects.read(dvc_object(reading.md5)) == reading.manifest
    names = [name for name, _ in read_manifest(reading.manifest)]
    assert names == ["a.csv", "deep/b.csv", "image.png"]
    for _, md5 in read_manifest(reading.manifest):
        assert md5_of(bucket.objects.read(dvc_object(md5))) == md5


def test_a_finding_in_a_directory_names_its_file(bucket, datasets):
    bucket.upload("set/good.csv", CSV)
    bucket.upload("set/bad.csv", b"a,b\nx,\n")
    (finding,) = datasets.read_once(folder(bucket), schema=SCHEMA).findings
    assert finding.message == "bad.csv: a, row 1: 'x' is no integer"
    assert finding.where == "bad.csv/a"


def test_a_newer_upload_supersedes_the_older_one_at_the_read(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    ref = bucket.objects.head("wine.csv")
    bucket.upload("wine.csv", CSV + b"3,z\n")
    with pytest.raises(Superseded, match="newer upload"):
        datasets.read_once(ref, schema=None)


def test_a_deleted_upload_is_superseded(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    ref = bucket.objects.head("wine.csv")
    bucket.delete("wine.csv")
    with pytest.raises(Superseded, match="deleted"):
        datasets.read_once(ref, schema=None)


def test_an_upload_between_read_and_keep_never_slips_in(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    ref = bucket.objects.head("wine.csv")
    reading = datasets.read_once(ref, schema=None)
    bucket.upload("wine.csv", b"a,b\n9,other\n")
    if ref.version:
        datasets.keep(ref, reading)
        assert bucket.objects.read(dvc_object(reading.md5)) == CSV
        return
    with pytest.raises(Superseded):
        datasets.keep(ref, reading)
    with pytest.raises(NotFound):
        bucket.objects.head(dvc_object(reading.md5))


def test_a_directory_that_changes_between_read_and_keep_is_superseded(bucket, datasets):
    bucket.upload("set/a.csv", CSV)
    ref = folder(bucket)
    reading = datasets.read_once(ref, schema=None)
    bucket.upload("set/b.csv", CSV)
    with pytest.raises(Superseded):
        datasets.keep(ref, reading)
    with pytest.raises(Superseded):
        datasets.read_once(ref, schema=None)


def test_refused_bytes_are_kept_under_their_uploads_id(bucket, datasets):
    bucket.upload("wine.csv", b"broken")
    bucket.upload("set/deep/a.csv", b"also")
    for _ in range(2):
        datasets.keep_refused(bucket.objects.head("wine.csv"), "id1")
        datasets.keep_refused(folder(bucket), "id2")
    assert bucket.objects.read(refused_key("id1")) == b"broken"
    assert bucket.objects.read(f"{refused_key('id2')}/deep/a.csv") == b"also"


def test_a_file_that_is_no_csv_has_a_digest_and_is_refused_where_a_schema_is_declared(
    bucket, datasets
):
    bucket.upload("wine.parquet", b"PAR1")
    ref = bucket.objects.head("wine.parquet")
    plain = datasets.read_once(ref, schema=None)
    assert (plain.md5, plain.rows) == (
        hashlib.md5(b"PAR1", usedforsecurity=False).hexdigest(),
        None,
    )
    assert plain.findings == ()
    (finding,) = datasets.read_once(ref, schema=SCHEMA).findings
    assert "upload it as CSV" in finding.message


def test_names_that_clash_on_other_disks_are_found(bucket, datasets, spelled_twice):
    for key in (*spelled_twice, "wine/A.csv", "wine/a.csv"):
        bucket.upload(key, CSV)
    findings = datasets.read_once(folder(bucket, "wine/"), schema=None).findings
    assert [finding.check for finding in findings] == ["name"] * 4


def test_a_broken_schema_names_its_file_and_line(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    with pytest.raises(InvalidLine, match=r"data/wine\.yaml:2: "):
        datasets.read_once(
            bucket.objects.head("wine.csv"),
            schema=b"fields:\n- {name: a, typ: b}",
            schema_file="data/wine.yaml",
        )


def test_progress_counts_the_bytes_of_all_files(bucket, datasets):
    for name in ("a.csv", "b.bin"):
        bucket.upload(f"set/{name}", CSV)
    told = []
    reading = datasets.read_once(folder(bucket), schema=None, progress=told.append)
    assert (told == sorted(told), told[-1], reading.size) == (True, 2 * len(CSV), 2 * len(CSV))


@pytest.mark.parametrize("key", ["wine.csv", "wine.bin"])
def test_what_progress_raises_ends_the_read_as_it_is(bucket, datasets, key):
    bucket.upload(key, CSV)

    def stop(_read):
        raise Rejected("that is enough")

    with pytest.raises(Rejected, match="that is enough"):
        datasets.read_once(bucket.objects.head(key), schema=SCHEMA, progress=stop)


def test_of_two_uploads_the_newest_is_the_newest(bucket, datasets):
    bucket.upload("wine.csv", CSV)
    older = bucket.objects.head("wine.csv")
    datasets.check_newest(older)
    bucket.upload("wine.csv", CSV + b"3,z\n")
    datasets.check_newest(bucket.objects.head("wine.csv"))
    with pytest.raises(Superseded):
        datasets.check_newest(older)
    bucket.delete("wine.csv")
    with pytest.raises(Superseded):
        datasets.check_newest(older)


def test_a_directory_is_the_newest_until_one_of_its_files_changes(bucket, datasets):
    bucket.upload("set/a.csv", CSV)
    ref = folder(bucket)
    datasets.check_newest(ref)
    bucket.upload("set/b.csv", CSV)
    with pytest.raises(Superseded):
        datasets.check_newest(ref)
