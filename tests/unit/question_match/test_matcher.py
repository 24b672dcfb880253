"""Which questions match, and what excludes a match."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gateway.providers.local.wordllama import WordLlamaEmbedder
from gateway.question_match import QuestionMatcher
from gateway.question_match.boosted_trees import BoostedTrees
from gateway.question_match.features import FEATURE_NAMES, EmbeddedQuestion, features
from gateway.question_match.parser import parse
from gateway.question_match.rules import disqualifying_difference
from tests.support.paths import PROJECT

PAIRS = PROJECT / "bench" / "quality" / "exemplars" / "cache_differences.jsonl"


@pytest.fixture(scope="module")
def verifier() -> QuestionMatcher:
    return QuestionMatcher.load(WordLlamaEmbedder.load().token_vectors)


def test_none_of_two_hundred_different_pairs_matches(verifier: QuestionMatcher) -> None:
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len({(row["text_a"], row["text_b"]) for row in rows}) == 200
    hits = [
        row
        for row in rows
        if max(verifier.score(row["text_a"], row["text_b"]), verifier.score(row["text_b"], row["text_a"]))
        >= verifier.threshold
    ]
    assert hits == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the best way to learn physics?", "what's the best way to learn physics"),
        ("How do I test an Android app?", "How do you test an Android app?"),
        ("What is the capital of France?", "What's the capital of France"),
        ("프랑스의 수도는 어디인가요?", "프랑스의 수도가 어디야"),
    ],
)
def test_paraphrases_match(verifier: QuestionMatcher, one: str, other: str) -> None:
    assert verifier.score(one, other) >= verifier.threshold
    assert verifier.score(one, other) == pytest.approx(verifier.score(other, one))


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("Is 3 enough?", "Is 4 enough?", "number"),
        ("Are two enough?", "Are 2 enough?", None),
        ("Is 1,000 enough?", "Is 1000 enough?", None),
        ("What is 2 + 3?", "What is 2 * 3?", "number"),
        ("What is -5 plus 1?", "What is 5 plus 1?", "number"),
        ("भारत की राजधानी", "भरत का राजधनी", "number"),
        ("Can I go?", "Can't I go?", "negation"),
        ("Should I go?", "Should I not go?", "negation"),
        ("Is it open on Monday?", "Is it open on Friday?", "class"),
        ("Where is Anna now?", "When is Anna here?", "kind"),
        ("How does Anna cook?", "How does Peter cook?", "name"),
        ("How do I gain weight?", "How do I lose weight?", "opposite"),
        ("Is it visible?", "Is it invisible?", "opposite"),
        ("Is C better than C++?", "Is C++ better than C?", "order"),
        ("달러를 유로로 바꾸는 방법", "유로를 달러로 바꾸는 방법", "order"),
        ("서울 지하철 요금", "서울 버스 요금", "word"),
        ("How do I lose weight?", "What is the best way to lose weight?", None),
    ],
)
def test_disqualifying_differences(one: str, other: str, what: str | None) -> None:
    assert disqualifying_difference(parse(one), parse(other)) == what
    assert disqualifying_difference(parse(other), parse(one)) == what


@pytest.mark.parametrize("text", ["", " ", "?", "!!!", "🎉", "\u200b", "'", "a" * 500, "1 " * 250])
def test_unusual_texts_do_not_fail(verifier: QuestionMatcher, text: str) -> None:
    assert verifier.score(text, "What is the capital of France?") < verifier.threshold


def test_features_are_symmetric() -> None:
    vectors = WordLlamaEmbedder.load().token_vectors
    texts = ("How do I learn to cook quickly?", "What is a fast way to learn cooking?")
    a, b = (EmbeddedQuestion(text, parse(text), vectors(text)) for text in texts)
    word_weights = np.random.default_rng(0).random(4096, dtype=np.float32)
    assert features(a, b, word_weights) == pytest.approx(features(b, a, word_weights), abs=1e-5)
    assert features(a, b, word_weights).shape == (len(FEATURE_NAMES),)


def test_a_tree_goes_left_where_the_value_is_at_most_the_cut() -> None:
    forest = BoostedTrees(
        np.array([[0, 1, 1]], np.int32),
        np.array([[0.5, 0.0, 9.0]], np.float32),
        np.array([[1, 2, 3, 4]], np.float32),
        10.0,
    )
    rows = np.array([[0.5, 0.0], [0.5, 1.0], [0.6, 9.0], [0.6, 9.1]], np.float32)
    assert forest.score(rows).tolist() == [11.0, 12.0, 13.0, 14.0]
