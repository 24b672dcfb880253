"""Local sentence vectors."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

from gateway.providers.local.wordllama import DIMENSIONS, WordLlamaEmbedder


@pytest.fixture(scope="module")
def embedder() -> WordLlamaEmbedder:
    return WordLlamaEmbedder.load()


def test_vectors_have_length_one(embedder: WordLlamaEmbedder) -> None:
    vectors = embedder.embed(["How do I learn Korean?", "안녕하세요", "x" * 10_000])

    assert vectors.shape == (3, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_similar_questions_have_closer_vectors(embedder: WordLlamaEmbedder) -> None:
    a, b, c = embedder.embed(
        ["How can I learn to play the guitar?", "What is the best way to learn guitar?", "Tax law in Peru"]
    )

    assert a @ b > a @ c + 0.2


def test_a_text_has_the_same_vector_alone_and_among_others(embedder: WordLlamaEmbedder) -> None:
    together = embedder.embed(["first", "second text", "a third and much longer text"])

    assert np.array_equal(together[1], embedder.embed(["second text"])[0])


def test_empty_and_invalid_text_have_vectors(embedder: WordLlamaEmbedder) -> None:
    vectors = embedder.embed(["", "\ud800 half a pair", "\x00"])

    assert not vectors[0].any()
    assert np.isfinite(vectors).all()
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_tokens_are_counted(embedder: WordLlamaEmbedder) -> None:
    assert embedder.count_tokens([]) == 0
    assert embedder.count_tokens(["one two", "three"]) == (
        embedder.count_tokens(["one two"]) + embedder.count_tokens(["three"])
    )


def test_loading_does_not_import_the_package_or_configure_logging() -> None:
    program = (
        "import logging, sys\n"
        "from gateway.providers.local.wordllama import WordLlamaEmbedder\n"
        "WordLlamaEmbedder.load()\n"
        "assert not logging.getLogger().handlers, 'root logger configured'\n"
        "assert 'wordllama' not in sys.modules, 'package imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert logging.getLogger().name == "root"
