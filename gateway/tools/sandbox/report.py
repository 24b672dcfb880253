"""What a run has to say, taken from the interpreter's two streams and made bounded, clean text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.tools.sandbox.process import Ended

# Bytes; together they leave room in what a tool's result may hold.
MAX_OUTPUT = 8 * 1024
MAX_RESULT = 4 * 1024
MAX_ERROR = 3 * 1024

# The interpreter ends stderr with the time it took, an arrow, and the last value or `error: ` and why.
_ARROW = " ❯ "
_DURATION = re.compile(r"[0-9.]{1,12}(?:ns|[µμ]s|ms|s|m|h)\Z")
_LONGEST_DURATION = 16
_ERROR = re.compile(r"\Aerror:\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CODE_FILE = re.compile(r'File "/(?:code\.py|proc/self/fd/\d+)"')
_UNKNOWN_CALL = re.compile(r"\A(?:RuntimeError: )?unknown external function: (\w{1,100})\(")
_NO_MEMORY = "allocation of"
_CUT = "\n[cut: there was more]"


class SandboxBroken(Exception):
    """The interpreter could not be started, or its answer not be read."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was printed, the last expression's value as text, and what went wrong; "" where there is none."""

    output: str = ""
    result: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def read(ended: Ended, code: str = "") -> Report:
    """The report of a run; `code` helps to say in which line something is. SandboxBroken if there is none."""
    said, verdict = _split(ended.stderr.decode("utf-8", "replace"))
    printed = ended.stdout.decode("utf-8", "replace")
    output = printed + said
    failed = ended.returncode == 1 or (ended.why == "output" and _ERROR.match(verdict) is not None)
    if ended.why == "time":
        return _report(output, error="It took too long and was ended; ask for less in one go.")
    if verdict and failed:
        return _report(output, error=_explain(_ERROR.sub("", verdict, count=1), code))
    if ended.why == "output":
        return _report(output, verdict, "" if verdict else "It wrote too much and was ended; print less.")
    if ended.returncode == 0:
        return _report(output, "" if verdict == "None" else verdict)
    if _NO_MEMORY in said:
        return _report(printed, error="It needed more memory than there is; ask for less in one go.")
    if ended.returncode < 0 or ended.returncode > 128:
        return _report(output, error="The interpreter gave up on this code; write it in a simpler way.")
    raise SandboxBroken(f"the interpreter ended with {ended.returncode}")


def _split(stderr: str) -> tuple[str, str]:
    """What the code wrote to stderr, and the interpreter's last word; a syntax error comes without arrow."""
    # From the end, in time linear in what hostile code may have written.
    arrow = stderr.rfind(_ARROW)
    while arrow >= 0:
        duration = _DURATION.search(stderr[max(0, arrow - _LONGEST_DURATION) : arrow])
        if duration is not None:
            said = stderr[: arrow - len(duration[0])]
            return said, stderr[arrow + len(_ARROW) :].removesuffix("\n")
        arrow = stderr.rfind(_ARROW, 0, arrow)
    if _ERROR.match(stderr):
        return "", stderr.removesuffix("\n")
    return stderr, ""


def _explain(error: str, code: str) -> str:
    """The error in words that help: whose file it is, and where an unknown function is called."""
    unknown = _UNKNOWN_CALL.match(error)
    if unknown is None:
        return _CODE_FILE.sub('File "code.py"', error)
    name = unknown[1]
    called = re.compile(rf"(?<![\w.]){re.escape(name)}\s*\(")
    lines = [str(number) for number, line in enumerate(code.splitlines(), 1) if called.search(line)]
    where = f" (line {', '.join(lines[:5])})" if lines else ""
    return f"NameError: name '{name}' is not defined here{where}; it is neither built in nor imported."


def _report(output: str, result: str = "", error: str = "") -> Report:
    return Report(_head(output, MAX_OUTPUT), _head(result, MAX_RESULT), _both_ends(error, MAX_ERROR))


def _head(text: str, limit: int) -> str:
    """The first `limit` bytes."""
    raw = text.encode()
    return _clean(text) if len(raw) <= limit else _clean(raw[:limit].decode("utf-8", "ignore")) + _CUT


def _both_ends(text: str, limit: int) -> str:
    """As `_head`, but half from the end: a traceback says where at its beginning and what at its end."""
    raw = text.encode()
    if len(raw) <= limit:
        return _clean(text)
    first, last = raw[: limit // 2], raw[-(limit // 2) :]
    return _clean(f"{first.decode('utf-8', 'ignore')}\n[…]\n{last.decode('utf-8', 'ignore')}")


def _clean(text: str) -> str:
    """`text` without control characters; what was no UTF-8 is U+FFFD already."""
    return _CONTROL.sub("", text)
