"""The command line: a client of the API, and the way to start an engine."""

from conveyor.cli.main import main

__all__ = ["main"]
