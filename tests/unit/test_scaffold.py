import subprocess

import pytest

from conveyor.errors import Conflict, Rejected
from conveyor.linefile import parse_line
from conveyor.scaffold import TEMPLATES, init


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_line_is_valid_and_committed(tmp_path, template):
    created = init(tmp_path / "shop", template=template, name="shop")
    line = parse_line((tmp_path / "shop" / "conveyor.yaml").read_bytes())
    assert line.name == "shop"
    assert set(line.models) == set(line.data) == {"shop"}
    assert sorted(git(tmp_path / "shop", "ls-files").split()) == created
    assert git(tmp_path / "shop", "status", "--porcelain") == ""


def test_no_placeholder_is_left(tmp_path):
    for path in init(tmp_path, template="classification", name="shop"):
        assert "@name@" not in (tmp_path / path).read_text(), path


def test_data_is_left_to_dvc_but_the_holdout_rows_are_not(tmp_path):
    init(tmp_path, template="classification", name="shop")
    (tmp_path / "data" / "shop.csv").write_text("a\n1\n")
    (tmp_path / "models" / "shop.skops").write_bytes(b"")
    assert git(tmp_path, "status", "--porcelain") == ""


def test_a_file_that_is_there_is_never_touched(tmp_path):
    (tmp_path / "dvc.yaml").write_text("mine")
    with pytest.raises(Conflict, match=r"dvc\.yaml"):
        init(tmp_path, template="classification", name="shop")
    assert [path.name for path in tmp_path.iterdir()] == ["dvc.yaml"]


def test_an_existing_repository_gets_one_commit_of_these_files_alone(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "other").write_text("uncommitted")
    init(tmp_path, template="regression", name="shop")
    assert git(tmp_path, "status", "--porcelain") == "?? other\n"


def test_a_line_inside_another_repository_is_a_repository_of_its_own(tmp_path):
    git(tmp_path, "init", "--quiet")
    init(tmp_path / "shop", template="regression", name="shop")
    assert git(tmp_path / "shop", "rev-parse", "--show-toplevel").strip() == str(tmp_path / "shop")
    assert git(tmp_path, "status", "--porcelain") == "?? shop/\n"


@pytest.mark.parametrize("name", ["", "Shop", "a b", "../x", "x" * 41, "1a"])
def test_a_name_that_cannot_be_a_line_is_refused(tmp_path, name):
    with pytest.raises(Rejected, match="cannot name"):
        init(tmp_path / "shop", template="classification", name=name)


def test_an_unknown_template_names_the_known_ones(tmp_path):
    with pytest.raises(Rejected, match="classification, regression"):
        init(tmp_path, template="vision", name="shop")
