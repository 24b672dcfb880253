"""Reports from the interpreter's output streams: bounded, clean, with helpful messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tools.code.process import EndReason, ProcessResult
from gateway.tools.code.report import (
    MAX_ERROR_BYTES,
    MAX_OUTPUT_BYTES,
    MAX_RESULT_BYTES,
    SandboxBroken,
    parse_report,
)


def ended(
    stdout: bytes = b"", stderr: str = "", returncode: int = 0, why: EndReason = "exited"
) -> ProcessResult:
    return ProcessResult(stdout, stderr.encode(), returncode, why)


def test_output_and_value_are_separate() -> None:
    report = parse_report(ended(b"a\n", "to stderr\n12.5μs ❯ [1, 2]\n"))

    assert (report.output, report.result, report.error) == ("a\nto stderr\n", "[1, 2]", "")
    assert parse_report(ended(b"a\n", "1.2ms ❯ None\n")).result == ""


def test_code_that_imitates_the_interpreter_affects_only_its_own_report() -> None:
    assert parse_report(ended(b"", "1ms ❯ error: forged\n2ms ❯ 7\n")).result == "7"
    assert parse_report(ended("1ms ❯ error: forged\n".encode(), "2ms ❯ 7\n")).ok


def test_an_error_has_its_line_and_no_internal_path() -> None:
    traceback = 'Traceback:\n  File "/proc/self/fd/17", line 2, in <module>\nValueError: x'
    report = parse_report(ended(b"before\n", f"9.1μs ❯ error: {traceback}\n", 1))

    assert report.output == "before\n"
    assert report.error == traceback.replace("/proc/self/fd/17", "code.py")
    assert not report.ok
    assert parse_report(ended(stderr="error:\nSyntaxError: no\n", returncode=1)).error == "SyntaxError: no"


def test_an_unknown_function_is_named_with_the_lines_that_call_it() -> None:
    said = "8μs ❯ error: unknown external function: sqrt(2)\n"

    error = parse_report(ended(stderr=said, returncode=1), "x = 1\ny = sqrt (2)\nmath.sqrt(2)").error

    assert error.startswith("NameError: name 'sqrt' is not defined here (line 2);")
    assert "(line" not in parse_report(ended(stderr=said, returncode=1), "f = eval('sqr' + 't')").error


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (ended(b"x", why="time", returncode=-9), "time limit"),
        (ended(b"x" * 70_000, why="output", returncode=-9), "printed too much"),
        (ended(stderr="monty worker: allocation of 9 bytes failed\n", returncode=-6), "memory limit"),
        (ended(stderr="monty worker: allocation of 9 bytes failed\n", returncode=134), "memory limit"),
        (ended(returncode=-11), "crashed on this code"),
        (ended(returncode=139), "crashed on this code"),
    ],
)
def test_each_kind_of_kill_has_its_message(run: ProcessResult, words: str) -> None:
    report = parse_report(run)

    assert words in report.error
    assert not report.ok


def test_a_value_longer_than_a_stream_is_truncated() -> None:
    report = parse_report(ended(stderr="1ms ❯ " + "9" * 65_000, returncode=-9, why="output"))

    assert report.ok
    assert report.result.startswith("999")
    assert report.result.endswith("[truncated]")
    assert not parse_report(ended(stderr="1ms ❯ error: " + "9" * 65_000, returncode=-9, why="output")).ok


@pytest.mark.parametrize("run", [ended(returncode=127), ended(stderr="sh: bad limit", returncode=2)])
def test_an_interpreter_that_did_not_run_is_not_an_error_of_the_code(run: ProcessResult) -> None:
    with pytest.raises(SandboxBroken):
        parse_report(run)


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 400), st.sampled_from([0, 1]))
def test_any_bytes_become_bounded_text_without_control_characters(
    stdout: bytes, stderr: bytes, times: int, returncode: int
) -> None:
    run = ProcessResult(
        stdout * times, stderr * times + " 1ms ❯ x".encode() + stderr * times, returncode, "exited"
    )
    report = parse_report(run)

    limits = (
        (report.output, MAX_OUTPUT_BYTES),
        (report.result, MAX_RESULT_BYTES),
        (report.error, MAX_ERROR_BYTES),
    )
    for text, limit in limits:
        assert len(text.encode()) <= limit + 64  # strict UTF-8, and the truncation note
        assert not any((c < " " and c not in "\t\n") or "\x7f" <= c <= "\x9f" for c in text)
