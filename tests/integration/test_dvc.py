"""What we write is DVC's own: a fresh clone, a plain `dvc pull` and `dvc status -c` agree with
it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.schema import COMPILED_SINGLE_STAGE_SCHEMA
from ruamel.yaml import YAML

from conveyor.data.datasets import BucketDatasets
from conveyor.data.folder import FolderObjects
from conveyor.domain.objects import directory_ref
from conveyor.pointers import Pointer, Source, dump_pointer, read_pointer

CSV = b"id,colour\n1,red\n2,white\n"


@pytest.fixture
def line(tmp_path):
    """A repository that DVC knows, with the bucket's folder as its remote, and the bucket
    itself.
    """
    objects = FolderObjects(tmp_path / "bucket")
    repository = tmp_path / "line"
    repository.mkdir()
    run("git", "init", "--quiet", "--initial-branch=main", cwd=repository)
    dvc("init", "--quiet", cwd=repository)
    remote = tmp_path / "bucket" / "_conveyor" / "dvc"
    dvc("remote", "add", "--quiet", "--default", "bucket", str(remote), cwd=repository)
    return repository, objects


def run(*command: str, cwd: Path) -> str:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(cwd.parent),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "t@t.example"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(*arguments: str, cwd: Path) -> str:
    return run(sys.executable, "-m", "dvc", *arguments, cwd=cwd)


def version(objects, ref, path):
    """Read and keep an upload as the version station does; returns the pointer file."""
    datasets = BucketDatasets(objects)
    reading = datasets.read_once(ref, schema=None)
    datasets.keep(ref, reading)
    return dump_pointer(
        Pointer(
            path=path,
            md5=reading.md5,
            size=reading.size,
            files=reading.files,
            rows=reading.rows,
            verdict="_conveyor/verdicts/1.json",
            owner="Ä: # owner",
            sensitivity="public",
        )
    )


def put(objects, tmp_path, key, body):
    path = tmp_path / "bucket" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return objects.head(key)


@pytest.fixture
def clone(line, tmp_path):
    """A fresh clone of a line with a file and a directory that we versioned."""
    repository, objects = line
    file = put(objects, tmp_path, "wine/wine list.csv", CSV)
    for name in ("a.csv", "b/ü.csv", "_SUCCESS"):
        put(objects, tmp_path, f"reviews/{name}", CSV + name.encode())
    directory = directory_ref(objects.name, "reviews/", objects.list("reviews/"))
    (repository / "data").mkdir()
    for ref, name in ((file, "wine list.csv"), (directory, "reviews")):
        (repository / "data" / f"{name}.dvc").write_bytes(version(objects, ref, name))
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "--quiet", "--message=data", cwd=repository)
    run("git", "clone", "--quiet", str(repository), str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


def test_a_fresh_clone_pulls_the_file_and_the_directory_and_agrees_with_the_remote(clone):
    assert json.loads(dvc("status", "--cloud", "--json", cwd=clone)) != {}
    dvc("pull", "--quiet", cwd=clone)
    assert (clone / "data" / "wine list.csv").read_bytes() == CSV
    assert (clone / "data" / "reviews" / "b" / "ü.csv").read_bytes() == CSV + "b/ü.csv".encode()
    assert json.loads(dvc("status", "--cloud", "--json", cwd=clone)) == {}
    assert json.loads(dvc("status", "--json", cwd=clone)) == {}


def test_dvc_makes_the_same_pointers_of_the_same_data(clone):
    """`dvc commit` writes a pointer anew from the data: hash, size and count stay, and so does our
    meta.
    """
    dvc("pull", "--quiet", cwd=clone)
    for name in ("wine list.csv", "reviews"):
        pointer = clone / "data" / f"{name}.dvc"
        ours = read_pointer(pointer.read_bytes())
        dvc("commit", "--force", "--quiet", str(pointer), cwd=clone)
        assert read_pointer(pointer.read_bytes()) == ours
        assert ours.owner == "Ä: # owner"


def test_dvcs_own_rules_accept_a_pointer_that_pins_a_version_of_the_bucket():
    """Only the form is checked: pulling it needs DVC's S3 extra, which is no part of Conveyor."""
    source = Source(url="s3://data/wine.csv", version="v1", etag="0cc175b9c0f1b6a8")
    pointer = Pointer(path="wine.csv", md5="1" * 32, size=3, source=source)
    content = YAML(typ="safe").load(dump_pointer(pointer))
    assert COMPILED_SINGLE_STAGE_SCHEMA(content)["deps"][0]["version_id"] == "v1"
