"""How often a station may be tried again: what is broken is not hammered, and heals undisturbed."""

SECONDS = 10.0
"""What nobody used may be saved up for so long."""

_ONE = 1.0 - 1e-9
"""A retry, for what is added up in small parts never is quite one."""


class Budget:
    """Allows `least` retries a second, and `share` of a retry for each first attempt.

    A retry that succeeded is given back: a station that is well again catches up at full speed.
    What may not be tried yet waits, and that is no attempt. Not thread-safe; times in seconds.
    """

    def __init__(self, *, share: float, least: float) -> None:
        self._share, self._least = share, least
        self._most = max(least * SECONDS, 1.0)
        self._left, self._since = self._most, 0.0

    def earn(self) -> None:
        """Note a first attempt."""
        self._add(self._share)

    def give_back(self) -> None:
        """Note a retry that succeeded."""
        self._add(1.0)

    def spend(self, now: float) -> bool:
        """Take one retry; False where none is left."""
        self._refill(now)
        if self._left < _ONE:
            return False
        self._left -= 1.0
        return True

    def wait(self, now: float) -> float:
        """Return the seconds until one retry is left."""
        self._refill(now)
        return 0.0 if self._left >= _ONE else (1.0 - self._left) / self._least

    def _refill(self, now: float) -> None:
        self._add(max(now - self._since, 0.0) * self._least)
        self._since = now

    def _add(self, retries: float) -> None:
        self._left = min(self._left + retries, self._most)
