"""Titles from first questions and from models."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.conversations.titles import MAX_TITLE, UNTITLED, make_title, parse_model_title


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Why is the sky blue?", "Why is the sky blue?"),
        ("Why is the sky blue? And why is grass green?", "Why is the sky blue?"),
        ("Hi! Can you help me with SQL?", "Hi! Can you help me with SQL?"),
        ("First line\nsecond line", "First line"),
        ("\n\n   \n  Indented  text \t here", "Indented text here"),
        ("# A heading\ntext", "A heading"),
        ("> - 1. nested marks", "nested marks"),
        ("**Bold** and *italic* and _more_ and `code`", "Bold and italic and more and code"),
        ("See [the docs](https://example.com/a) please", "See the docs please"),
        ("![a cat](cat.png) what is it", "a cat what is it"),
        ("```python\nprint(1)\n```\nwhat does it print", "print(1)"),
        ("---\nAfter a rule", "After a rule"),
        ("Explain snake_case_names and 2 * 3 * 4", "Explain snake_case_names and 2 * 3 * 4"),
        ("#hashtag is no heading", "#hashtag is no heading"),
        ("-5 degrees", "-5 degrees"),
        ("3.14 is what", "3.14 is what"),
        (
            "今日の東京の天気はどうですか、教えてください。明日は？",
            "今日の東京の天気はどうですか、教えてください。",
        ),
        ("a\x07b\u202ec\ud800d", "abcd"),
        ("", UNTITLED),
        (" \n\t ", UNTITLED),
        ("\x00\x01", UNTITLED),
        ("***", UNTITLED),
    ],
)
def test_a_title_is_the_first_sentence_in_plain_text(question, title):
    assert make_title(question) == title


def test_a_long_sentence_is_cut_between_words():
    title = make_title("Please explain in detail how the immune system tells friend from foe, with examples")
    assert title == "Please explain in detail how the immune system tells friend…"
    assert len(title) <= MAX_TITLE


def test_a_very_long_word_is_cut_in_the_middle():
    assert make_title("x" * 10_000) == "x" * (MAX_TITLE - 1) + "…"


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_gives_a_short_line_without_control_characters(question):
    title = make_title(question)
    assert 0 < len(title) <= MAX_TITLE
    assert title == " ".join(title.split())
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in title)


@pytest.mark.parametrize("piece", ["[", "*a", "`", "_a_", "# ", "**", "![](", "~~x"])
def test_hostile_markdown_costs_no_more_than_other_text(piece):
    # Quadratic patterns would run into the time limit of the test long before the window ends.
    for _ in range(50):
        make_title(piece * 100_000)


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Tides and the moon", "Tides and the moon"),
        ('"Tides and the moon."', "Tides and the moon"),
        ("Title: **Tides and the moon**", "Tides and the moon"),
        ("# Tides\n\nHere is why I chose it …", "Tides"),
        ("<think>Hmm, the moon?</think>\nTides", "Tides"),
        ("«Gezeiten und Mond»", "Gezeiten und Mond"),
        ("제목: 밀물과 달", "밀물과 달"),
        ("  C++ or Rust?  ", "C++ or Rust?"),
        (" ".join(f"word{n}" for n in range(20)), " ".join(f"word{n}" for n in range(12))),
        ("x" * 300, "x" * 99 + "…"),
        ("", None),
        ("- - -", None),
        ("<think>forever and ever", None),
        ("I'm sorry, but I cannot do that.", None),
        ("tides tides tides tides", None),
        (" ".join(f"word{n}" for n in range(60)), None),
    ],
)
def test_a_models_title_is_one_plain_line_or_none(said: str, title: str | None) -> None:
    assert parse_model_title(said) == title
