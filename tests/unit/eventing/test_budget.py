"""How often a broken station is tried again, and how soon one that healed has caught up."""

from hypothesis import given
from hypothesis import strategies as st

from conveyor.codec import Reply
from conveyor.eventing.budget import SECONDS, Budget
from conveyor.eventing.queue import Lane
from conveyor.eventing.rules import Delivery, Step, next_step
from conveyor.settings import DeliverySettings

MANY = 400


def spent(budget, now):
    """Return how many retries it allows at once."""
    count = 0
    while budget.spend(now):
        count += 1
    return count


def test_what_nobody_used_is_saved_up_for_ten_seconds_at_most():
    budget = Budget(share=0.1, least=2.0)
    assert (spent(budget, 100.0), spent(budget, 101.0), spent(budget, 9999.0)) == (20, 2, 20)


def test_traffic_earns_its_share_of_retries():
    budget = Budget(share=0.1, least=1.0)
    spent(budget, 0.0)
    for _ in range(95):
        budget.earn()
    assert spent(budget, 0.0) == 9


@given(st.floats(0.1, 1000.0), st.floats(0.0, 1e6))
def test_after_the_wait_that_it_names_it_always_allows_one(least, now):
    budget = Budget(share=0.1, least=least)
    spent(budget, now)
    assert budget.spend(now + budget.wait(now) + 1e-6)


class Outage:
    """A station that is down until a moment, with many deliveries owed, as one lane sees it."""

    def __init__(self, *, until):
        self.settings = DeliverySettings(retries=1000)
        self.lane = Lane(Budget(share=0.1, least=10.0))
        self.until, self.now, self.asked, self.done = until, 0.0, [], []
        for seq in range(MANY):
            self.lane.add(Delivery(seq=seq, key=str(seq)))

    def run(self, seconds):
        """Let time pass, every delivery due after a tenth of a second."""
        while self.now < seconds and self.lane.owed:
            while (delivery := self.lane.take(self.now)) is not None:
                self.asked.append(self.now)
                reply = Reply(503 if self.now < self.until else 200)
                if next_step(delivery, reply, self.settings, self.now) is Step.DONE:
                    self.done.append(self.now)
                    self.lane.end(delivery)
                else:
                    self.lane.postpone(delivery, self.now + 0.1)
            self.now += 0.05
        return self


def test_a_broken_station_is_not_hammered():
    """Without a budget 400 deliveries would ask ten times a second each."""
    outage = Outage(until=1e9).run(60.0)
    first, saved, earned = MANY, 10 * SECONDS, 0.1 * MANY
    assert len(outage.asked) <= first + saved + earned + 10 * 60 + 1


def test_a_station_that_healed_catches_up_at_full_speed():
    """Each retry that succeeds is given back, so that what waits comes at once."""
    outage = Outage(until=60.0).run(120.0)
    assert len(outage.done) == MANY
    assert max(outage.done) < 61.0
