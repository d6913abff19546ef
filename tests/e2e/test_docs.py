"""What the README and the docs say to type works, and the page on the line names every key.

Blocks marked `sh` are meant to be typed: those of a page run in order, in one folder, with
`conveyor` on the path. Blocks that are only shown are marked otherwise (`console`, `yaml`, none).
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conveyor.data.schema import TYPES
from conveyor.linefile import schema_text

ROOT = Path(__file__).parent.parent.parent
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))]
TYPED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 240


def typed(page: str) -> list[str]:
    return TYPED.findall((ROOT / page).read_text())


def program(blocks: list[str]) -> str:
    return "\n".join(["set -x", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT", *blocks])


def environment(home: Path) -> dict[str, str]:
    """Return a new user's variables: a name for Git, `conveyor` on the path, a free port."""
    user = {f"GIT_{role}_{part}": "reader@example.org" for role in ROLES for part in PARTS}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # What the machine needs to reach a package index stays; what is set for Conveyor does not.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVEYOR_")}
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return {**kept, **git, **user, "PATH": path, "PWD": str(home), "CONVEYOR_PORT": "0"}


ROLES, PARTS = ("AUTHOR", "COMMITTER"), ("NAME", "EMAIL")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)])
def test_what_a_page_says_to_type_works(page, tmp_path):
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", program(typed(page))],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as shell:
        try:
            output, _ = shell.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            output, _ = shell.communicate()
    assert shell.returncode == 0, output


def test_a_block_that_fails_would_be_seen():
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program(["true\n", "false\n", "true\n"])],
        check=False,
        capture_output=True,
    )
    assert ended.returncode == 1


def keys(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each key of the schema with dots, NAME for names; a shared part at its first place."""
    seen: set[str] = set()

    def walk(node: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        for name, inner in node.get("properties", {}).items():
            yield from visit(inner, f"{place}{name}")
        if isinstance(node.get("additionalProperties"), dict):
            yield from step(node["additionalProperties"], f"{place}NAME")

    def visit(node: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        yield place, node.get("default")
        yield from step(node, place)

    def step(node: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
        name = node.get("$ref", "").rpartition("/")[2]
        if name not in seen:
            seen.update({name} - {""})
            yield from walk(definitions.get(name, node), f"{place}.")

    yield from walk(schema, "")


def rows() -> dict[str, str]:
    page = (ROOT / "docs/line.md").read_text().splitlines()
    return {row.split("`")[1]: row for row in page if row.startswith("| `")}


def declared() -> dict[str, Any]:
    schema = json.loads(schema_text())
    return dict(keys(schema, schema["$defs"]))


def test_the_page_on_the_line_has_a_row_for_every_key_and_for_nothing_else():
    names = {
        name for name in rows() if name.split(".")[0] in json.loads(schema_text())["properties"]
    }
    assert names == set(declared())


def test_each_row_says_the_default_that_the_schema_has():
    wrong = {
        name: default
        for name, default in declared().items()
        if default is not None and f"`{_written(default)}`" not in rows()[name]
    }
    assert wrong == {}


def _written(default: Any) -> str:
    return default if isinstance(default, str) else json.dumps(default)


def test_every_type_of_a_table_schema_is_on_the_page():
    page = (ROOT / "docs/line.md").read_text()
    assert [kind for kind in TYPES if kind not in page] == []
