"""The order in which deliveries are taken."""

from hypothesis import given
from hypothesis import strategies as st

from conveyor.eventing.budget import Budget
from conveyor.eventing.queue import Lane
from conveyor.eventing.rules import Delivery


def filled(*keys):
    lane = Lane(Budget(share=0.1, least=100.0))
    for seq, key in enumerate(keys):
        lane.add(Delivery(seq=seq, key=key))
    return lane


def drain(lane):
    taken = []
    while (delivery := lane.take(0.0)) is not None:
        taken.append(delivery.seq)
        lane.end(delivery)
    return taken


def test_a_busy_key_is_not_taken_twice_but_another_is():
    lane = filled("a", "a", "b")
    assert [lane.take(0.0).seq, lane.take(0.0).seq] == [0, 2]
    assert lane.take(0.0) is None


def test_keys_take_turns_so_that_a_long_one_starves_no_other():
    assert drain(filled("a", "a", "a", "b")) == [0, 3, 1, 2]


def test_what_waits_is_not_ready_before_its_time_and_holds_up_nothing():
    lane = filled("a", "a")
    first = lane.take(0.0)
    lane.postpone(first, 5.0)
    assert lane.pause(2.0) == 3.0
    assert drain(lane) == [1]
    assert lane.take(5.0) is first


def test_what_was_postponed_comes_before_what_arrived_later():
    lane = filled("a", "a", "a")
    lane.postpone(lane.take(0.0), 5.0)
    held = lane.take(5.0)
    assert held.seq == 0


def test_a_delivery_that_comes_due_while_its_key_is_in_flight_waits_for_it():
    lane = filled("a", "a")
    lane.postpone(lane.take(0.0), 1.0)
    second = lane.take(0.0)
    assert lane.take(1.0) is None
    lane.end(second)
    assert lane.take(1.0).seq == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_whatever_happens_each_is_taken_until_it_ended_and_keys_are_exclusive(steps):
    lane, added, ended, flying = filled(), 0, set(), {}
    for now, (key, take) in enumerate(steps):
        if not take:
            lane.add(Delivery(seq=added, key=key))
            added += 1
        elif (delivery := lane.take(now)) is not None:
            assert delivery.key not in flying
            flying[delivery.key] = delivery
        elif flying:
            _, landing = flying.popitem()
            if landing.seq % 2 or landing.tries:
                lane.end(landing)
                ended.add(landing.seq)
            else:
                landing.tries += 1
                lane.postpone(landing, now + 3)
    for delivery in flying.values():
        lane.end(delivery)
        ended.add(delivery.seq)
    while (delivery := lane.take(1000)) is not None:
        lane.end(delivery)
        ended.add(delivery.seq)
    assert (ended, lane.owed) == (set(range(added)), 0)
