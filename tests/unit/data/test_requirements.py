"""What is told of a requirements file before a run would fail with it."""

import pytest

from conveyor.data.requirements import MAX_REQUIREMENTS_BYTES, requirement_problems


def problems(text: str | bytes) -> list[str]:
    given = text.encode() if isinstance(text, str) else text
    return list(requirement_problems(given, file="r.txt"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# a comment",
        "numpy",
        "numpy >= 2, < 3  # why",
        "scikit-learn==1.7.2 ; python_version >= '3.11'",
        "pandas[parquet]~=2.2",
        "numpy==2.1.0 --hash=sha256:abc --hash=sha256:def",
        "tool @ https://example.org/tool-1.0-py3-none-any.whl",
        "numpy \\\n  >=2",
        "\ufeffnumpy\r\npandas\r\n",
    ],
)
def test_packages_and_versions_are_fine(line):
    assert problems(line) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("numpy=2.1", '"numpy=2.1" is no requirement'),
        ("numpy=2.1", "; write numpy==2.1"),
        ("numpy 2.1", "; write a package and its versions, like numpy>=2"),
        ("numpy>>2", "is no requirement"),
        ("https://example.org/a.whl", "name @ https://"),
        ("-r base.txt", '"-r base.txt" is an option'),
        ("-e .", "is an option"),
        ("--index-url https://example.org", "is an option"),
        ("./mine", "is a path on one machine"),
        ("/home/me/mine", "is a path on one machine"),
        ("mine @ file:///home/me", "is a path on one machine"),
        ("a @ https://${TOKEN}@example.org/a.whl", "has a variable"),
    ],
)
def test_the_rest_is_told_with_line_and_remedy(line, message):
    (problem,) = problems(f"numpy\n\n{line}\n")
    assert problem.startswith("r.txt:3: ")
    assert message in problem


def test_a_continued_line_is_told_by_its_first():
    (problem,) = problems("numpy\npandas \\\n  =2\nscipy\n")
    assert problem.startswith("r.txt:2: ")


def test_every_wrong_line_is_told():
    assert len(problems("a=1\nb\n-r c\n")) == 2


def test_a_password_is_not_repeated():
    (problem,) = problems("--index-url https://me:secret@example.org/simple")
    assert "secret" not in problem


def test_bytes_that_are_no_text_and_too_many_of_them_are_refused():
    assert "not UTF-8" in problems(b"\xff")[0]
    assert "too many" in problems(b"#" * (MAX_REQUIREMENTS_BYTES + 1))[0]
