"""The router before real processes: nobody loses a request, whatever a candidate does."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import urllib3

from conveyor.domain.evidence import Evidence, total
from conveyor.domain.traffic import Traffic

NONE = Traffic()
INFER = "/v2/models/wine/infer"


class Door:
    """Asks a router from many threads and remembers who answered what."""

    def __init__(self, port):
        self.pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=16, retries=False)
        self.seen = Counter()

    def ask(self, body):
        response = self.pool.urlopen("POST", INFER, body=body)
        self.seen[response.status, response.headers.get("Conveyor-Release", "")[:16]] += 1
        return response.status, json.loads(response.data)

    def ask_often(self, body, times, threads=8):
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda _: self.ask(body), range(times)))


@pytest.fixture
def door(listening, routed):
    opened = []

    def to(services, **more):
        router, reported = routed(services, **more)
        opened.append(Door(listening(router)))
        return opened[-1], router, reported

    yield to
    for each in opened:
        each.pool.close()


def canary(stable, candidate, percent):
    return Traffic(((stable.digest, 100 - percent), (candidate.digest, percent)))


def serve_both(services, stable, candidate, line):
    """Make both answer, half of the traffic each."""
    for release in (stable, candidate):
        services.ensure(release, line)
    split = canary(stable, candidate, 50)
    services.apply("wine", split, expected=NONE)
    return split


class Mover(threading.Thread):
    """Moves the traffic to and fro: each time a release drops out, and later comes back."""

    def __init__(self, services, goals):
        super().__init__()
        self.services, self.goals = services, goals
        self.moves, self.done = 0, threading.Event()

    def run(self):
        while not self.done.wait(0.4):
            now, goal = (self.goals[(self.moves + step) % 2] for step in (0, 1))
            self.services.apply("wine", goal, expected=now)
            self.moves += 1

    def stop(self):
        self.done.set()
        self.join()


@pytest.fixture
def both(services, double, triple, line):
    """Both releases with half of the traffic each."""
    random.seed(7)
    return serve_both(services, double, triple, line())


def test_no_request_fails_while_traffic_moves_and_releases_stop(services, both, door, asking):
    asked, router, reported = door(services)
    (_, _), (last, _) = both.shares
    mover = Mover(services, [both, Traffic(((last, 100),))])
    mover.start()
    while mover.moves < 10 or sum(asked.seen.values()) < 2000:
        asked.ask_often(asking(1, 2), 200)
    mover.stop()
    router.faults.flush()
    assert {status for status, _ in asked.seen} == {200}
    assert not reported


def test_the_split_is_as_the_table_says_within_three_points(services, both, door, asking):
    (first, _), (last, _) = both.shares
    services.apply("wine", Traffic(((first, 75), (last, 25))), expected=both)
    asked, _, _ = door(services)
    asked.ask_often(asking(1, 2), 2000)
    share = asked.seen[200, last[:16]] / 2000
    assert abs(share - 0.25) <= 0.03


def test_a_killed_stable_process_loses_no_request(services, door, double, line, asking):
    services.ensure(double, line())
    services.apply("wine", Traffic(((double.digest, 100),)), expected=NONE)
    asked, _, _ = door(services)
    done = threading.Event()

    def kill():
        for _ in range(2):
            time.sleep(0.3)
            pid = services.instances()[0].pid
            if pid:
                os.kill(pid, signal.SIGKILL)
        done.set()

    killer = threading.Thread(target=kill)
    killer.start()
    while not done.is_set():
        asked.ask_often(asking(1, 2), 100)
    killer.join()
    assert asked.seen.keys() == {(200, double.digest[:16])}


@pytest.fixture
def against(services, door, double, line):
    """Give a faulty candidate half of the traffic beside `double`; returns what asks them."""

    def make(candidate):
        serve_both(services, double, candidate, line())
        return door(services, candidate=timedelta(milliseconds=300))

    return make


def evidence_of(reported, release):
    of_release = [w.summary for w in reported if w.revision == release.digest]
    return total(Evidence.from_summary(summary) for summary in of_release)


@pytest.fixture
def deadly(start, crashing, double, triple, line):
    """Services of which the candidate dies at 666."""
    services = start(crashing(triple))
    serve_both(services, double, triple, line())
    return services


def test_a_crashing_candidate_is_answered_for_and_counted(deadly, door, double, triple, asking):
    asked, router, reported = door(deadly)
    asked.ask_often(asking(666, 0), 20)
    router.faults.flush()
    assert asked.seen == {(200, double.digest[:16]): 20}
    assert evidence_of(reported, triple).errors >= 1


def test_a_slow_candidate_is_bounded_in_time_and_counted(against, faulty, asking):
    slow = faulty("slow")
    asked, router, reported = against(slow)
    began = time.monotonic()
    answers = asked.ask_often(asking(1e8, 0), 8)
    router.faults.flush()
    assert {status for status, _ in answers} == {200}
    assert time.monotonic() - began < 3
    assert {w.instance.partition("-")[0] for w in reported} == {"router"}
    assert evidence_of(reported, slow).errors >= 1


def test_a_candidate_of_another_shape_is_answered_for_by_stable(against, faulty, double, asking):
    wide = faulty("wide")
    asked, _, _ = against(wide)
    asked.ask_often(asking(3, 0), 20)
    assert asked.seen.keys() == {(200, double.digest[:16])}


def test_a_candidate_that_gives_nan_answers_null_for_the_judge_to_see(against, faulty, asking):
    nan = faulty("nan")
    asked, _, _ = against(nan)
    answers = asked.ask_often(asking(-1, -1), 20)
    given = [answer["outputs"][0]["data"] for _, answer in answers]
    assert [None, None] in given
    assert {status for status, _ in answers} == {200}
