"""E-mail addresses are normalized, or rejected without being echoed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.email.addresses import normalize_email


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  ada@example.com\n", "ada@example.com"),
        ("ada+tag@example.com", "ada+tag@example.com"),
        ("Admin@Gateway.localhost", "admin@gateway.localhost"),
        ("a@x.test", "a@x.test"),
        ("a@mail.corp.local", "a@mail.corp.local"),
        ("a@xn--exmple-cua.de", "a@exämple.de"),
        ("A\u030a@example.com", "å@example.com"),
    ],
)
def test_address_is_normalized(written: str, kept: str) -> None:
    assert normalize_email(written) == kept
    assert normalize_email(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "@",
            "a@",
            "@b.de",
            "a@b",
            "a@localhost",
            "a@.localhost",
            "a b@c.de",
            "a@b.de\0",
            "\ud800@b.de",
        ),
        *("x" * 300 + "@b.de", "a@" + "b" * 300 + ".de", "a@b..de", "a\r\nb@c.de", "x" * 100_000),
    ],
)
def test_invalid_address_is_rejected_without_echoing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^This is not a valid e-mail address\.$"):
        normalize_email(text)


@given(st.text(max_size=80))
def test_any_text_is_normalized_or_raises_the_same_error(text: str) -> None:
    kept = None
    with contextlib.suppress(ValueError):
        kept = normalize_email(text)
    assert kept is None or normalize_email(kept) == kept
