"""Request ids and traces are used if well-formed, otherwise generated."""

from __future__ import annotations

import re

import pytest

from gateway.core.request_context import new_request_context

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize("given", ["a", "A-1_b.c", "x" * 128])
def test_well_formed_request_id_is_used(given: str) -> None:
    assert new_request_context(given).request_id == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\n", "é", "a/b", '"', "\x00"])
def test_malformed_request_id_is_replaced(given: str | None) -> None:
    made = new_request_context(given).request_id
    assert re.fullmatch(r"req_[0-9a-f]{32}", made)
    assert made != new_request_context(given).request_id


@pytest.mark.parametrize(
    "header", [f"00-{TRACE}-{PARENT}-01", f" 00-{TRACE}-{PARENT}-01 ", f"cc-{TRACE}-{PARENT}-01-later"]
)
def test_trace_is_continued_with_a_new_span(header: str) -> None:
    context = new_request_context(None, header)
    assert context.trace_id == TRACE
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", context.traceparent)
    assert context.span_id != PARENT


@pytest.mark.parametrize(
    "header",
    [
        "", "nonsense", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01-extra", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}",
    ],
)  # fmt: skip
def test_malformed_trace_is_not_continued(header: str) -> None:
    context = new_request_context(None, header)
    assert context.trace_id != TRACE
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", context.traceparent)
