import os
import signal
import subprocess
import sys
import time

from conveyor.scaffold import TEMPLATES, init

SECONDS = 90


def test_ctrl_c_says_that_it_stops_and_when_it_has(tmp_path):
    line = tmp_path / "shop"
    line.mkdir()
    init(line, template=TEMPLATES[0], name="shop")
    command = [sys.executable, "-m", "conveyor", "up", "--line", str(line), "--port", "0"]
    log = tmp_path / "up.log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, env=dict(os.environ)) as up:
        until = time.monotonic() + SECONDS
        try:
            while "conveyor events" not in log.read_text() and time.monotonic() < until:
                time.sleep(0.05)
            up.send_signal(signal.SIGINT)
            assert up.wait(SECONDS) == 0
        finally:
            up.kill()
    last = [each for each in log.read_text().splitlines() if each.startswith("stop")]
    assert last == [
        "stopping: requests in flight are answered, jobs go on at the next start ...",
        "stopped",
    ]
