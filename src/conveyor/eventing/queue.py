"""Which delivery is next: one in flight per key, arrival order within a key, keys in turn."""

import heapq
from collections import deque

from conveyor.eventing.budget import Budget
from conveyor.eventing.rules import Delivery


class Lane:
    """The owed deliveries of one station; not thread-safe.

    Memory grows with what is owed (about 200 bytes each), so that taking one never searches a
    backlog. A delivery that waits for its next try holds up nothing, not even its own key; it is
    ready when it is due and the budget has a retry left.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._by_key: dict[str, list[tuple[int, Delivery]]] = {}
        self._turns: deque[str] = deque()
        self._in_flight: set[str] = set()
        self._waiting: list[tuple[float, int, Delivery]] = []
        self.owed = 0

    def add(self, delivery: Delivery) -> None:
        """Take in a new delivery."""
        self.owed += 1
        self._enqueue(delivery)

    def take(self, now: float) -> Delivery | None:
        """Return the next delivery and mark its key as in flight; None where nothing is ready."""
        while self._waiting and self._waiting[0][0] <= now and self._budget.spend(now):
            self._enqueue(heapq.heappop(self._waiting)[2])
        if not self._turns:
            return None
        key = self._turns.popleft()
        self._in_flight.add(key)
        delivery = heapq.heappop(self._by_key[key])[1]
        if not delivery.is_retry:
            self._budget.earn()
        return delivery

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next waiting delivery is ready, None where none waits."""
        if not self._waiting:
            return None
        return max(self._waiting[0][0] - now, self._budget.wait(now))

    def end(self, delivery: Delivery) -> None:
        """Note that a taken delivery is done or dead."""
        self.owed -= 1
        if delivery.tries > 1 and delivery.failure is None:
            self._budget.give_back()
        self._land(delivery.key)

    def postpone(self, delivery: Delivery, due: float) -> None:
        """Put a taken delivery back, to be ready at `due`."""
        heapq.heappush(self._waiting, (due, delivery.seq, delivery))
        self._land(delivery.key)

    def _enqueue(self, delivery: Delivery) -> None:
        queued = self._by_key.setdefault(delivery.key, [])
        heapq.heappush(queued, (delivery.seq, delivery))
        if len(queued) == 1 and delivery.key not in self._in_flight:
            self._turns.append(delivery.key)

    def _land(self, key: str) -> None:
        self._in_flight.discard(key)
        if self._by_key.get(key):
            self._turns.append(key)
        else:
            self._by_key.pop(key, None)
