"""What a requirements file may say: packages and their versions, for an environment made from them.

The environment maker refuses the rest when a run begins; here it is told when it is pushed.
"""

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

MAX_REQUIREMENTS_BYTES = 256 * 1024

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\S+")
_LOCAL = re.compile(r"[/.]|.*(?:@\s*(?:file:|/|\.)|\.\./)")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_ONE_SIGN = re.compile(r"(?P<name>[\w.-]+(?:\[[\w,. -]*\])?)\s*=\s*(?P<version>[\w.*+!-]+)")
_MOST_SHOWN = 80


def requirement_problems(text: bytes, *, file: str) -> Iterator[str]:
    """Yield one `file:line: what; remedy` for each line that no environment can be made from."""
    if len(text) > MAX_REQUIREMENTS_BYTES:
        most = MAX_REQUIREMENTS_BYTES
        yield f"{file}: {len(text)} bytes are too many (at most {most}); name only what is imported"
        return
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        yield f"{file}: byte {error.start} is not UTF-8; save it as UTF-8"
        return
    for number, line in _logical(lines):
        if line and (problem := _problem(line)):
            yield f"{file}:{number}: {problem}"


def _logical(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (number of its first line, text) of lines without comments, continued ones joined."""
    number, held = 0, ""
    for at, line in enumerate(lines, 1):
        number = number or at
        whole = held + _COMMENT.sub("", line).rstrip()
        if whole.endswith("\\"):
            held = f"{whole[:-1]} "
            continue
        yield number, whole.strip()
        number, held = 0, ""
    yield number, held.strip()


def _problem(line: str) -> str:
    """Return what is wrong with a requirement and what to write, "" where nothing is."""
    shown = _CREDENTIALS.sub("//", line)[:_MOST_SHOWN]
    if line.startswith("-"):
        return (
            f'"{shown}" is an option, which means nothing in a run; '
            "name the packages themselves, one on a line, and leave it out"
        )
    if "${" in line:
        return f'"{shown}" has a variable, and none is filled in; write the value out'
    if _LOCAL.match(line):
        return (
            f'"{shown}" is a path on one machine, which a run has not; name a package of the '
            "index, or commit the code beside the training script and import it from there"
        )
    try:
        Requirement(_HASH.sub("", line))
    except InvalidRequirement as error:
        return f'"{shown}" is no requirement ({_first(error)}); {_remedy(line)}'
    return ""


def _first(error: InvalidRequirement) -> str:
    return _CREDENTIALS.sub("//", str(error).splitlines()[0])[:_MOST_SHOWN]


def _remedy(line: str) -> str:
    if found := _ONE_SIGN.fullmatch(line):
        return f"write {found['name']}=={found['version']}"
    if "://" in line:
        return "write the package's name before it: name @ https://..."
    return "write a package and its versions, like numpy>=2 or scikit-learn==1.7.2"
