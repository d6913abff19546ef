"""What the board says of one model, for commands that ask for something it has not got yet."""

from collections.abc import Mapping
from typing import Any


def find_model(board: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return a model's row of the board, None where the line has no such model."""
    return next((row for row in board["models"] if row["name"] == name), None)


def describe(row: Mapping[str, Any]) -> str:
    """Return what a model does or waits for, or why its last candidate was refused."""
    if row["waits"]:
        return f"it {row['waits']}"
    if row["refusal"]:
        why = "; ".join(row["refusal"]["reasons"])
        return f"its last candidate was refused at {row['refusal']['stage']}: {why}"
    return "see `conveyor status`"
