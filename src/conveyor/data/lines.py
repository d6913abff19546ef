"""conveyor.yaml as it is at a commit: read at the event's own commit, never from a running copy."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

from conveyor.domain.line import Line
from conveyor.linefile import LINE_FILE, parse_line
from conveyor.ports import History


@dataclass
class GitLines:
    """ports.Lines over a history; the last `capacity` lines are kept, as a commit never changes."""

    history: History
    default_name: str | None = None
    capacity: int = 64
    _kept: OrderedDict[str, Line] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def at(self, commit: str) -> Line:
        """Return the line at a commit.

        Raises NotFound without the commit or its conveyor.yaml, InvalidLine with file, line
        and remedy.
        """
        with self._lock:
            if commit in self._kept:
                self._kept.move_to_end(commit)
                return self._kept[commit]
        text = self.history.tree(commit).read(LINE_FILE)
        line = parse_line(text, default_name=self.default_name)
        with self._lock:
            self._kept[commit] = line
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)
        return line
