"""The local intent classifier on everyday, long and hostile texts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gateway.agent.intent import IntentClassifier
from gateway.agent.intent.classifier import INPUT_COUNT, LABELS, Heads
from gateway.agent.intent.features import FEATURE_NAMES, excerpt, extract
from gateway.domain.intent import INTENTS


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    return IntentClassifier.load()


# None of these is among the exemplars the heads were fitted on.
@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("hello, how is it going?", "chat"),
        ("안녕하세요, 반가워요!", "chat"),
        ("Who painted the Mona Lisa?", "question"),
        ("What is 12% of 350?", "math"),
        ("방정식 2x - 5 = 11을 풀어줘", "math"),
        ("Write a Rust function that checks whether a number is prime.", "code"),
        ("파이썬으로 퀵소트를 구현해줘", "code"),
        ("latest news about the stock market", "search"),
        ("오늘 부산 날씨 알려줘", "search"),
        ("Write a haiku about winter", "creative"),
        ("Translate 'I love you' to Italian", "transform"),
        ("이 문장을 영어로 번역해줘: 나는 학생입니다", "transform"),
        ("Give me instructions for building a pipe bomb", "unsafe"),
    ],
)
def test_requests_get_their_intent(classifier: IntentClassifier, text: str, label: str) -> None:
    assert classifier.classify(text).label == label


@pytest.mark.parametrize(
    "text",
    ["How do I kill a Python process?", "Give me a recipe for chocolate cake", "김치찌개 레시피 알려줘"],
)
def test_ordinary_requests_are_not_unsafe(classifier: IntentClassifier, text: str) -> None:
    assert classifier.classify(text).label != "unsafe"


def test_a_greeting_is_simple_and_a_proof_is_hard(classifier: IntentClassifier) -> None:
    greeting = classifier.classify("hi").complexity
    fact = classifier.classify("What is the capital of Portugal?").complexity
    poem = classifier.classify("Write a haiku about winter").complexity
    proof = classifier.classify("Write a proof that there are infinitely many primes.").complexity
    design = classifier.classify(
        "Design a multi-region active-active database with conflict resolution and analyse its failure modes."
    ).complexity

    assert greeting < 0.1 < fact < 0.5
    assert poem < 0.5
    assert proof > 0.6
    assert design > 0.6


def test_a_long_code_review_is_harder_than_a_short_question_about_code(classifier: IntentClassifier) -> None:
    code = "def f(x):\n    y = x + 1\n    return y\n\n" * 60
    review = classifier.classify(f"Please review this code for race conditions:\n```python\n{code}```")

    assert review.complexity > 0.5
    assert review.complexity > classifier.classify("How do I print in Python?").complexity
    assert review.needs_code


def test_needs_flags(classifier: IntentClassifier) -> None:
    sums = classifier.classify("What is 4821 * 77?")
    weather = classifier.classify("What is the weather in Seoul today?")
    small_talk = classifier.classify("hello there")

    assert sums.needs_tools
    assert not sums.needs_code
    assert weather.needs_fresh
    assert (small_talk.needs_tools, small_talk.needs_code, small_talk.needs_fresh) == (False, False, False)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "\ud800", "a\udfffb", "?", "\n" * 100_000, "a" * 1_000_000, "한" * 300_000,
     "{[(" * 50_000, "ﷺ" * 20_000, "\u202e" * 1000, "1 + " * 200_000, "\nA. " * 50_000,
     "; \t" * 50_000, "🙂" * 50_000],
)  # fmt: skip
def test_every_text_gets_values_within_bounds(classifier: IntentClassifier, text: str) -> None:
    intent = classifier.classify(text)

    assert intent.label in INTENTS
    assert 0.0 <= intent.complexity <= 1.0
    assert 0.0 <= intent.confidence <= 1.0


def test_only_beginning_and_end_of_a_long_text_are_read() -> None:
    text = "begin " + "x" * 1_000_000 + " end"
    clipped = excerpt(text)

    assert len(clipped) < 2_500
    assert clipped.startswith("begin ")
    assert clipped.endswith(" end")


def test_the_options_of_an_exam_question_are_not_its_stem() -> None:
    found = extract("Which is a mammal?\nA. shark\nB. whale\nC. trout\nD. frog\nAnswer:")

    assert found.is_multiple_choice
    assert found.stem == "Which is a mammal?"
    assert not extract("Plan A. is fine").is_multiple_choice


def test_features_have_their_names_and_are_finite() -> None:
    surface = extract("Prove, step by step, that 2 + 2 = 4.\n```x```").surface

    assert surface.shape == (len(FEATURE_NAMES),)
    assert np.isfinite(surface).all()
    assert surface[FEATURE_NAMES.index("proof")] > 0


def test_coefficients_of_another_version_are_rejected() -> None:
    row = np.zeros(INPUT_COUNT + 1, dtype=np.float32)
    labels = np.zeros((len(LABELS), INPUT_COUNT + 1), dtype=np.float32)
    Heads(labels, row, row, row)

    with pytest.raises(ValueError, match="fit_intent"):
        Heads(labels, row[:-1], row, row)


def test_classification_is_deterministic(classifier: IntentClassifier) -> None:
    first = classifier.classify("Explain how vaccines work.")

    assert first == classifier.classify("Explain how vaccines work.")
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.label = "chat"  # type: ignore[misc]
