import subprocess
import sys

SAYS = """
import os
from conveyor.runtime import _sifted
with _sifted():
    os.write(2, b"\\x1b[0;93m[W:onnxruntime] GPU device discovery failed: no\\x1b[m\\n")
    os.write(2, b"something else\\n")
os.write(2, b"later\\n")
"""
FAILS = """
import os
from conveyor.runtime import _sifted
with _sifted():
    os.write(2, b"libx.so is missing\\n")
    raise ImportError
"""


def told(code: str) -> bytes:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stderr


def test_an_import_is_heard_without_its_complaints_about_devices():
    assert told(SAYS) == b"something else\nlater\n"


def test_an_import_that_fails_is_heard_in_full():
    said = told(FAILS)
    assert said.startswith(b"libx.so is missing\n")
    assert b"ImportError" in said


def test_importing_the_runtime_says_nothing():
    assert told("import conveyor.runtime") == b""
