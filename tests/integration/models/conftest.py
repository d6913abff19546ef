"""A work folder of the scikit-learn converter."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv
from skops import io as skops

from conveyor.models.convert.task import Task

LayOut = Callable[..., Task]


@pytest.fixture
def lay_out(tmp_path: Path) -> LayOut:
    """Dump an estimator and its evaluation rows and return the task of converting it."""

    def lay_out(estimator: Any, table: Mapping[str, Any], *, label: str, metric: str) -> Task:
        skops.dump(estimator, tmp_path / "source")
        csv.write_csv(pa.table(dict(table)), tmp_path / "rows.csv")
        job = {"source": "source", "rows": "rows.csv", "label": label, "metric": metric}
        (tmp_path / "job.json").write_text(json.dumps({**job, "personal": False}))
        return Task.read(tmp_path)

    return lay_out
