"""Which of what can be made again may go: by when it was used last, and how many there are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Retention:
    """At most `most` stay, none longer than `kept` after its last use, all for `fresh`."""

    most: int = 10
    kept: timedelta = timedelta(days=30)
    fresh: timedelta = timedelta(days=1)

    def gone(self, used: Mapping[str, datetime], now: datetime) -> Iterator[str]:
        """Yield the names that may go; used maps each to its last use."""
        newest = sorted(used, key=lambda name: (used[name], name), reverse=True)
        for rank, name in enumerate(newest):
            age = now - used[name]
            if age > self.fresh and (rank >= self.most or age > self.kept):
                yield name
