"""docs/faults.md is true: every fault has its row, every row a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/faults.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = {
    row.split(" | ")[0].removeprefix("| "): row
    for row in PAGE.splitlines()
    if row.startswith("| ") and not row.startswith(("| fault", "|---"))
}
PROMISED = """
malformed CSV; empty CSV; huge CSV; wrongly encoded CSV; schema violation; data set for no known
model; model file that is not ONNX; operator that ONNX Runtime lacks; training code that raises;
training that exits 0 without a model; training that hangs; training that eats memory; training that
writes outside its folder; training that reads the environment for secrets; metric missing; metric
NaN; candidate that crashes its process; candidate that is slow; candidate that returns NaN;
candidate that returns the wrong shape; broken YAML; cycle in `dvc.yaml`; non-fast-forward push; two
pushes at once; push while a build runs; upload while its predecessor builds; newer release during
an open rollout; names with spaces, unicode, 200 characters; names with `../`; duplicate events;
reordered events; forged events; unknown events; event over the size limit; poison event; disk full;
port taken; two `conveyor up` on one state folder; clock jumps; `kill -9` of the engine at each
step; `kill -9` of a serve process; `kill -9` of a job's process
"""


@pytest.mark.parametrize("fault", [" ".join(name.split()) for name in PROMISED.split(";")])
def test_a_promised_fault_has_a_row(fault):
    assert fault in ROWS


@pytest.mark.parametrize("fault", ROWS)
def test_a_row_names_tests_that_exist(fault):
    named = NAMED.findall(ROWS[fault])
    assert named, "no test is named"
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
