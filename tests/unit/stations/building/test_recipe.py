"""What a run is made from, read from one commit."""

import pytest

from conveyor.domain.line import Model, Train
from conveyor.errors import InvalidLine
from conveyor.pointers import Pointer, dump_pointer
from conveyor.stations.recipe import hashes_at, read_recipe

MD5 = "a" * 32
MODEL = Model(name="wine", train=Train(stage="s", output="m"))


def recipe(yard, stage: str, **files: bytes):
    text = f"stages: {{s: {{cmd: 'run ${{x}}', outs: [m], {stage}}}}}".encode()
    named = {path.replace("__", "/").replace("_dot_", "."): c for path, c in files.items()}
    commit = yard.history.push({"dvc.yaml": text, **named})
    return read_recipe(MODEL, yard.history.tree(commit))


def pointing(path: str, md5: str = MD5) -> bytes:
    return dump_pointer(Pointer(path=path, md5=md5, size=1))


def test_a_file_of_the_commit_is_known_by_its_blob(yard):
    found = recipe(yard, "deps: [a.py]", a_dot_py=b"code")
    assert found.ingredients.inputs["a.py"].startswith("git:")
    assert hashes_at(yard.history.tree(found.commit), found) == {
        "a.py": "c13367945d5d4c91047b3b50234aa7ab"
    }


def test_a_pointer_stands_for_the_data(yard):
    found = recipe(yard, "deps: [d/a.csv]", d__a_dot_csv_dot_dvc=pointing("a.csv"))
    assert found.ingredients.inputs == {"d/a.csv": f"dvc:{MD5}"}
    assert set(found.data) == {"d/a.csv"}


def test_a_file_inside_a_versioned_directory_comes_with_it(yard):
    found = recipe(yard, "deps: [d/reviews/a.csv]", d__reviews_dot_dvc=pointing("reviews"))
    assert set(found.data) == {"d/reviews"}
    assert found.missing == ()


def test_pointers_inside_a_folder_are_laid_out_too(yard):
    found = recipe(yard, "deps: [d]", d__a_dot_csv_dot_dvc=pointing("a.csv"), d__b_dot_py=b"x")
    assert set(found.data) == {"d/a.csv"}
    assert found.ingredients.inputs["d"].startswith("tree:")


def test_what_is_neither_is_missing(yard):
    assert recipe(yard, "deps: [nowhere.csv]").missing == ("nowhere.csv",)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (b"a: {b: [1, 2]}\nx: 1", b"x: 1\na: {b: [1, 2]}\n# said", False),
        (b"a: {b: 1}", b"a: {b: 2}", False),
        (b"", b"a: {b: 1}", False),
    ],
)
def test_templated_commands_take_the_whole_parameter_file(yard, before, after, same):
    keys = [recipe(yard, "params: [a.b]", params_dot_yaml=text).key for text in (before, after)]
    assert (keys[0] == keys[1]) is same


def test_a_parameter_is_read_by_its_dotted_name(yard):
    found = recipe(yard, "params: [a.b.0, gone]", params_dot_yaml=b"a: {b: [7]}")
    assert found.ingredients.params["params.yaml:a.b.0"] == "7"
    assert found.ingredients.params["params.yaml:gone"] == "null"


def test_broken_parameters_are_said_with_their_line(yard):
    with pytest.raises(InvalidLine, match=r"params\.yaml, line 2"):
        recipe(yard, "params: [a]", params_dot_yaml=b"a: 1\nb: [")


def test_a_broken_pointer_is_said_by_name(yard):
    with pytest.raises(InvalidLine, match=r"d\.dvc"):
        recipe(yard, "deps: [d]", d_dot_dvc=b"outs: 3")


def test_a_missing_dvc_yaml_is_said(yard):
    commit = yard.history.push({"README.md": b""})
    with pytest.raises(InvalidLine, match=r"dvc\.yaml is not in commit"):
        read_recipe(MODEL, yard.history.tree(commit))


BOMB = b"n0: &n0 [x, x]\n" + b"".join(
    b"n%d: &n%d [*n%d, *n%d, *n%d, *n%d]\n" % (n, n, n - 1, n - 1, n - 1, n - 1)
    for n in range(1, 21)
)
"""A kilobyte that means terabytes."""


@pytest.mark.parametrize("text", [b"depth: &a [*a]", BOMB + b"depth: *n20"])
def test_a_parameter_that_means_more_than_memory_holds_is_refused(yard, text):
    with pytest.raises(InvalidLine, match=r"params\.yaml: its aliases"):
        recipe(yard, "params: [depth]", params_dot_yaml=text)


def test_a_large_parameter_file_is_one_parameter(yard):
    """Reading it value by value would keep the station for minutes."""
    large = b"depth: [" + b"1," * 200_000 + b"1]"
    found = recipe(yard, "params: [depth]", params_dot_yaml=large)
    other = recipe(yard, "params: [depth]", params_dot_yaml=large + b"\n")
    assert found.key != other.key
