"""The whole line on one machine: the composition root behind `conveyor up`."""

from conveyor.embedded.engine import Engine, run

__all__ = ["Engine", "run"]
