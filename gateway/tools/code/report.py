"""Parses the interpreter's two output streams into a bounded, clean report."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.tools.code.process import ProcessResult

# Their sum is below the limit of a tool result.
MAX_OUTPUT_BYTES = 8 * 1024
MAX_RESULT_BYTES = 4 * 1024
MAX_ERROR_BYTES = 3 * 1024

# The interpreter ends stderr with the duration, an arrow, and the last value or `error: ` and the reason.
_ARROW = " ❯ "
_DURATION = re.compile(r"[0-9.]{1,12}(?:ns|[µμ]s|ms|s|m|h)\Z")
_MAX_DURATION_CHARACTERS = 16
_ERROR = re.compile(r"\Aerror:\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CODE_FILE = re.compile(r'File "/(?:code\.py|proc/self/fd/\d+)"')
_UNKNOWN_FUNCTION = re.compile(r"\A(?:RuntimeError: )?unknown external function: (\w{1,100})\(")
_OUT_OF_MEMORY = "allocation of"
_TRUNCATION_NOTE = "\n[truncated]"


class SandboxBroken(Exception):
    """The interpreter could not be started, or its output not be parsed."""


@dataclass(frozen=True, slots=True)
class CodeReport:
    """The printed output, the last expression's value and the error of a run.

    Fields are "" if there is nothing.
    """

    output: str = ""
    result: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the run had no error."""
        return not self.error


def parse_report(result: ProcessResult, code: str = "") -> CodeReport:
    """Return the report of a run.

    Args:
        code: the program, to find the line of an unknown function.

    Raises:
        SandboxBroken: the output cannot be parsed.
    """
    stderr_text, last_line = _split(result.stderr.decode("utf-8", "replace"))
    stdout_text = result.stdout.decode("utf-8", "replace")
    output = stdout_text + stderr_text
    failed = result.returncode == 1 or (result.end_reason == "output" and _ERROR.match(last_line) is not None)
    if result.end_reason == "time":
        return _truncated_report(output, error="The program exceeded the time limit; do less in one run.")
    if last_line and failed:
        return _truncated_report(output, error=_explain(_ERROR.sub("", last_line, count=1), code))
    if result.end_reason == "output":
        return _truncated_report(
            output,
            last_line,
            "" if last_line else "The program printed too much and was stopped; print less.",
        )
    if result.returncode == 0:
        return _truncated_report(output, "" if last_line == "None" else last_line)
    if _OUT_OF_MEMORY in stderr_text:
        return _truncated_report(
            stdout_text, error="The program exceeded the memory limit; do less in one run."
        )
    if result.returncode < 0 or result.returncode > 128:
        return _truncated_report(
            output, error="The interpreter crashed on this code; write it in a simpler way."
        )
    raise SandboxBroken(f"the interpreter ended with {result.returncode}")


def _split(stderr: str) -> tuple[str, str]:
    """Split stderr into the code's own output and the interpreter's last line.

    A syntax error has no arrow.
    """
    # Searched from the end, in linear time whatever the code has written.
    arrow = stderr.rfind(_ARROW)
    while arrow >= 0:
        duration = _DURATION.search(stderr[max(0, arrow - _MAX_DURATION_CHARACTERS) : arrow])
        if duration is not None:
            written = stderr[: arrow - len(duration[0])]
            return written, stderr[arrow + len(_ARROW) :].removesuffix("\n")
        arrow = stderr.rfind(_ARROW, 0, arrow)
    if _ERROR.match(stderr):
        return "", stderr.removesuffix("\n")
    return stderr, ""


def _explain(error: str, code: str) -> str:
    """Make the error readable.

    The file's path is hidden, and the lines that call an unknown function are added.
    """
    unknown = _UNKNOWN_FUNCTION.match(error)
    if unknown is None:
        return _CODE_FILE.sub('File "code.py"', error)
    name = unknown[1]
    call = re.compile(rf"(?<![\w.]){re.escape(name)}\s*\(")
    lines = [str(number) for number, line in enumerate(code.splitlines(), 1) if call.search(line)]
    location = f" (line {', '.join(lines[:5])})" if lines else ""
    return f"NameError: name '{name}' is not defined here{location}; it is neither built in nor imported."


def _truncated_report(output: str, result: str = "", error: str = "") -> CodeReport:
    return CodeReport(
        _head(output, MAX_OUTPUT_BYTES), _head(result, MAX_RESULT_BYTES), _both_ends(error, MAX_ERROR_BYTES)
    )


def _head(text: str, limit: int) -> str:
    """Return the first `limit` bytes of `text`."""
    raw = text.encode()
    return (
        _strip_control(text)
        if len(raw) <= limit
        else _strip_control(raw[:limit].decode("utf-8", "ignore")) + _TRUNCATION_NOTE
    )


def _both_ends(text: str, limit: int) -> str:
    """Return the first and last `limit / 2` bytes.

    A traceback begins with the place, ends with the error.
    """
    raw = text.encode()
    if len(raw) <= limit:
        return _strip_control(text)
    first, last = raw[: limit // 2], raw[-(limit // 2) :]
    return _strip_control(f"{first.decode('utf-8', 'ignore')}\n[…]\n{last.decode('utf-8', 'ignore')}")


def _strip_control(text: str) -> str:
    """Remove control characters; invalid UTF-8 was already replaced by U+FFFD."""
    return _CONTROL.sub("", text)
