"""What the board and those who wait beside it read of the desk."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from conveyor.api.doors import Door
from conveyor.ledger.journal import Journal
from conveyor.ledger.trace import Trace
from conveyor.ports import EvidenceStore, History, Jobs, Lines, Objects, Rollouts, Services


class Parts(Protocol):
    """A part of the desk each."""

    @property
    def branch(self) -> str: ...  # noqa: D102 -- the desk says it
    @property
    def door(self) -> Door: ...  # noqa: D102
    @property
    def history(self) -> History: ...  # noqa: D102
    @property
    def lines(self) -> Lines: ...  # noqa: D102
    @property
    def objects(self) -> Objects: ...  # noqa: D102
    @property
    def jobs(self) -> Jobs: ...  # noqa: D102
    @property
    def read_log(self) -> Callable[[str, int], tuple[bytes, int]]: ...  # noqa: D102
    @property
    def services(self) -> Services: ...  # noqa: D102
    @property
    def rollouts(self) -> Rollouts: ...  # noqa: D102
    @property
    def evidence(self) -> EvidenceStore: ...  # noqa: D102
    @property
    def journal(self) -> Journal: ...  # noqa: D102
    @property
    def tracer(self) -> Trace: ...  # noqa: D102
    @property
    def problems(self) -> Callable[[], Sequence[str]]: ...  # noqa: D102
    @property
    def waiting(self) -> Callable[[], Sequence[str]]: ...  # noqa: D102
    @property
    def address(self) -> Callable[[str], str]: ...  # noqa: D102
    @property
    def patience(self) -> timedelta: ...  # noqa: D102
