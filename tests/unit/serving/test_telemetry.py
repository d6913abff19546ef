import threading
from datetime import timedelta

import pytest

from conveyor.domain.evidence import LATENCY_BOUNDS_MS, Evidence, total
from conveyor.errors import Rejected, Unavailable
from conveyor.serving.telemetry import MAX_LABELS, OTHER, Flusher, Recorder, Source, Windows


class Sink:
    """Remembers what was sent; raises the faults first."""

    def __init__(self, *faults):
        self.faults, self.attempts, self.sent = list(faults), [], []

    def __call__(self, window):
        self.attempts.append(window)
        if self.faults:
            raise self.faults.pop(0)
        self.sent.append(window)


def windows(recorder, sink):
    return Windows(Source(model="wine", revision="r", instance="i"), recorder, sink)


def test_no_count_is_lost_between_threads():
    recorder, parts = Recorder(), []

    def work():
        for _ in range(2000):
            recorder.answered(2.5, labels={"a": 1})
            recorder.failed()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        parts.append(recorder.drain() or Evidence())
    counted = total([*parts, recorder.drain() or Evidence()])
    assert (counted.requests, counted.errors, counted.labels) == (16000, 8000, {"a": 8000})


@pytest.mark.parametrize(("milliseconds", "bucket"), [(0.2, 0), (1.0, 0), (1.1, 1), (1e6, -1)])
def test_an_answer_falls_into_the_bucket_whose_bound_it_does_not_exceed(milliseconds, bucket):
    recorder = Recorder()
    recorder.answered(milliseconds)
    assert recorder.drain().latency[bucket] == 1
    assert len(LATENCY_BOUNDS_MS) == len(Evidence().latency) - 1


def test_labels_beyond_the_cap_are_counted_together():
    recorder = Recorder()
    recorder.answered(1, labels={f"label {n}": 1 for n in range(MAX_LABELS + 5)})
    labels = recorder.drain().labels
    assert (len(labels), labels[OTHER]) == (MAX_LABELS + 1, 5)


def test_nothing_is_sent_where_nothing_was_counted():
    sink = Sink()
    assert windows(Recorder(), sink).flush()
    assert not sink.attempts


def test_a_window_that_was_not_taken_is_sent_again_unchanged_under_its_number():
    recorder, sink = Recorder(), Sink(Unavailable("down"))
    sending = windows(recorder, sink)
    recorder.failed()
    assert not sending.flush()
    recorder.answered(1)
    assert sending.flush()
    assert sink.attempts[0] == sink.attempts[1]
    assert [(w.window, w.summary["requests"]) for w in sink.sent] == [(0, 1), (1, 1)]


def test_a_refused_window_does_not_hold_up_the_next():
    recorder, sink = Recorder(), Sink(Rejected("forged"))
    sending = windows(recorder, sink)
    recorder.failed()
    sending.flush()
    recorder.failed()
    sending.flush()
    assert [w.window for w in sink.sent] == [1]


def test_what_was_counted_is_sent_at_a_number_of_requests_before_the_interval_ends():
    wake, sent = threading.Event(), threading.Event()
    recorder = Recorder(wake=wake, at=3)
    sending = windows(recorder, lambda _: sent.set())
    flusher = Flusher(sending.flush, timedelta(hours=1), wake)
    flusher.start()
    for _ in range(3):
        recorder.answered(1)
    assert sent.wait(5)
    flusher.stop()


def test_stopping_sends_what_is_left_and_tries_again():
    recorder, sink = Recorder(), Sink(Unavailable("down"), Unavailable("down"))
    flusher = Flusher(windows(recorder, sink).flush, timedelta(hours=1), threading.Event())
    flusher.start()
    recorder.failed()
    assert flusher.stop(pause=0.01)
    assert len(sink.sent) == 1


def test_stopping_gives_up_on_a_sink_that_stays_down():
    recorder, sink = Recorder(), Sink(*[Unavailable("down")] * 9)
    flusher = Flusher(windows(recorder, sink).flush, timedelta(hours=1), threading.Event())
    flusher.start()
    recorder.failed()
    assert not flusher.stop(attempts=2, pause=0.01)
