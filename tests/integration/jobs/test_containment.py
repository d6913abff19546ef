"""What foreign code may not do, tried by foreign code."""

import os
import socket
import time
from datetime import timedelta

import pytest

from conveyor.domain.jobs import FAILED, OUT_OF_MEMORY, SUCCEEDED, TIMED_OUT
from conveyor.jobs import tree


def test_what_is_written_to_out_is_stored(bench, python_job):
    result = bench.end_of(python_job("open('out/model.bin', 'w').write('m')"))
    assert result.state == SUCCEEDED
    assert bench.objects.read(result.outputs["model.bin"]) == b"m"
    assert result.owner == "wine"


def test_raising_code_fails_with_its_last_line(bench, python_job):
    result = bench.end_of(python_job("raise ValueError('depth must be positive')"))
    assert result.state == FAILED
    assert result.reason == ("training ended with exit code 1: ValueError: depth must be positive")
    assert result.outputs == {}


def test_a_crash_is_named_by_its_signal(bench, python_job):
    result = bench.end_of(python_job("import os; os.kill(os.getpid(), 11)"))
    assert result.reason == "training was killed by SIGSEGV: no output"


def test_a_reason_given_in_the_last_line_is_the_reason(bench, python_job):
    result = bench.end_of(python_job("print('conveyor: no rows in it'); raise SystemExit(1)"))
    assert result.reason == "no rows in it"


def test_a_hung_run_is_ended_at_its_timeout(bench, python_job):
    code = "import time; time.sleep(60)"
    result = bench.end_of(python_job(code, timeout=timedelta(seconds=1)))
    assert result.state == TIMED_OUT
    assert "no end after 1s, see timeout in conveyor.yaml" in result.reason


def test_a_memory_eater_is_ended(bench, python_job):
    code = "b = []\nwhile True: b.append(bytearray(2**24))"
    result = bench.end_of(python_job(code, memory=200 * 2**20))
    assert result.state == OUT_OF_MEMORY
    assert "more than 200 MiB" in result.reason


def test_memory_counts_over_all_processes(bench, python_job):
    code = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0: b = bytearray(b'x' * (80 * 2**20)); time.sleep(30)\n"
        "time.sleep(30)"
    )
    assert bench.end_of(python_job(code, memory=200 * 2**20)).state == OUT_OF_MEMORY


def test_a_fork_bomb_is_bounded_and_nothing_of_it_survives(bench, python_job):
    code = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)"
    result = bench.end_of(python_job(code, key="bomb"))
    assert result.state == FAILED
    assert "processes" in result.reason
    assert tree.marked("CONVEYOR_RUN", "bomb") == ()


def test_a_process_left_behind_dies_with_the_run(bench, python_job):
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)"
    )
    assert bench.end_of(python_job(code, key="daemon")).state == SUCCEEDED
    assert tree.marked("CONVEYOR_RUN", "daemon") == ()


def test_writing_outside_the_folder_is_refused(bench, python_job, tmp_path):
    victim = tmp_path / "victim"
    result = bench.end_of(python_job(f"open({str(victim)!r}, 'w').write('x')"))
    assert result.state == FAILED
    assert "PermissionError" in result.reason
    assert not victim.exists()


def test_other_runs_and_keys_cannot_be_read(bench, python_job):
    (bench.state / "signing.key").write_text("secret")
    code = f"print(open({str(bench.state / 'signing.key')!r}).read())"
    result = bench.end_of(python_job(code))
    assert "PermissionError" in result.reason
    assert "secret" not in result.log


def test_too_much_disk_is_refused(bench, python_job):
    code = (
        "import time\n"
        "for n in range(60):\n"
        "    open(f'tmp{n}', 'wb').write(b'x' * 2**20); time.sleep(0.05)\n"
        "time.sleep(10)"
    )
    result = bench.end_of(python_job(code, disk=20 * 2**20))
    assert result.state == FAILED
    assert "wrote more than 20 MiB" in result.reason


def test_secrets_of_the_engine_are_out_of_reach(bench, python_job, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    code = (
        "import glob, os\n"
        "texts = [repr(dict(os.environ))]\n"
        "for path in glob.glob('/proc/*/environ'):\n"
        "    try: texts.append(open(path).read())\n"
        "    except OSError: pass\n"
        "print('hunter2' in ''.join(texts), sorted(os.environ))"
    )
    result = bench.end_of(python_job(code))
    assert result.log.startswith("False")
    assert "AWS" not in result.log


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_network_is_cut_off(bench, python_job, listener):
    code = f"import socket; socket.create_connection(('127.0.0.1', {listener}), 2)"
    result = bench.end_of(python_job(code))
    assert result.state == FAILED
    assert "Connection" in result.reason or "Permission" in result.reason


def test_links_in_out_are_not_followed(bench, python_job):
    result = bench.end_of(python_job("import os; os.symlink('/etc/passwd', 'out/model.bin')"))
    assert result.state == FAILED
    assert "out/model.bin is a link" in result.reason


def test_signals_do_not_reach_the_engine(bench, python_job):
    code = f"import os; os.kill({os.getpid()}, 0)"
    assert "Error" in bench.end_of(python_job(code)).reason


def test_endless_output_is_cut(bench, python_job):
    code = "import sys\nfor _ in range(20): sys.stdout.write('x' * 2**20)\nprint('end')"
    result = bench.end_of(python_job(code))
    assert result.state == SUCCEEDED
    log = bench.objects.head(f"_conveyor/runs/{result.key}/log.txt")
    assert 16 * 2**20 <= log.size < 17 * 2**20


def test_the_log_is_readable_while_the_run_works(bench, python_job):
    bench.jobs.ensure(python_job("print('hello'); import time; time.sleep(20)", key="talks"))
    text, after, deadline = b"", 0, time.monotonic() + 10
    while b"hello" not in text and time.monotonic() < deadline:
        chunk, after = bench.jobs.read_log("talks", after)
        text += chunk
        time.sleep(0.05)
    bench.jobs.cancel("talks")
    assert text == b"hello\n"
    assert after == 6


def test_the_containment_says_what_holds(bench):
    assert not [layer for layer in bench.jobs.containment() if layer.startswith("NOT")]


def test_without_namespaces_the_environment_of_the_engine_is_out_of_reach_too(
    half_fenced, python_job
):
    """It holds the bucket's credentials, and Landlock by itself keeps only memory closed."""
    result = half_fenced.end_of(python_job(f"open('/proc/{os.getpid()}/environ').read()"))
    assert "PermissionError" in result.reason


def test_without_namespaces_a_run_still_sees_itself_and_the_machine(half_fenced, python_job):
    code = "open('/proc/self/status').read(); open('/proc/meminfo').read()"
    assert half_fenced.end_of(python_job(code)).state == SUCCEEDED
