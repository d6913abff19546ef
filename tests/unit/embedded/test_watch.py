import threading
from datetime import timedelta

from conveyor.embedded.watch import Watcher
from conveyor.errors import Unavailable

LONG = timedelta(hours=1)


def test_a_poke_makes_it_look_before_its_time():
    looks = [threading.Event(), threading.Event()]
    count = iter(looks)
    watcher = Watcher("bucket", lambda: next(count).set(), LONG)
    watcher.start()
    assert looks[0].wait(5)
    watcher.poke()
    assert looks[1].wait(5)
    watcher.stop()


def test_a_failed_look_is_told_and_tried_again_until_it_succeeds():
    good = threading.Event()
    failures = iter([Unavailable("away"), ValueError("odd")])

    def look() -> None:
        error = next(failures, None)
        if error is not None:
            raise error
        good.set()

    watcher = Watcher("repository", look, timedelta(milliseconds=1))
    watcher.start()
    assert good.wait(5)
    watcher.stop()
    assert watcher.complaint == ""


def test_the_last_complaint_is_kept_for_the_status():
    looked = threading.Event()

    def look() -> None:
        looked.set()
        raise Unavailable("the bucket is away")

    watcher = Watcher("bucket", look, LONG)
    watcher.start()
    assert looked.wait(5)
    watcher.stop()
    assert watcher.complaint == "the bucket is away"
