"""A part that is opened when it is first asked for, once however many threads ask."""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_LOCK = threading.RLock()
"""One for all parts of a process: they are opened once, and some open others."""


class late(Generic[T]):  # noqa: N801 -- used as `property` is
    """Like functools.cached_property, which opens twice where two threads ask at once."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, instance: Any, owner: type) -> T:
        with _LOCK:
            made = instance.__dict__
            if self._name not in made:
                made[self._name] = self._make(instance)
            found: T = made[self._name]
            return found
