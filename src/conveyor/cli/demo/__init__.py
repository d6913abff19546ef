"""`conveyor demo`: six acts on real data, in a copy of the example line."""

from conveyor.cli.demo.acts import demo

__all__ = ["demo"]
