"""Guards take linear time in the length of a text."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import pytest

from gateway.domain.messages import Message
from gateway.guardrails.leaks.ngrams import NgramSet
from gateway.guardrails.leaks.prompt_echo import PromptEcho, letters_and_digits
from gateway.guardrails.leaks.scanner import AllowedValues, LeakGuard, LeakScanner, find_leaks
from gateway.guardrails.reading.encoder import shared_encoder
from gateway.guardrails.reading.features import count_marks
from gateway.guardrails.reading.passages import split_passages

_NONE = np.zeros((0, 256), dtype=np.float32)
_RANDOM = random.Random(7)
WORDS = ["".join(_RANDOM.choices("abcdefghijklmnop", k=_RANDOM.randint(2, 9))) for _ in range(2000)]


def prose(count: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def ratio(work: Callable[[str], object], text: Callable[[int], str], size: int) -> float:
    """How much more CPU time a text of eight times the length takes; 8 is linear, 64 quadratic."""

    def seconds(length: int) -> float:
        given = text(length)
        best = 1e9
        for _ in range(3):
            started = time.thread_time()
            work(given)
            best = min(best, time.thread_time() - started)
        return best

    return seconds(8 * size) / max(seconds(size), 0.0002)


HOSTILE = [
    lambda n: "a1" + "a" * n + "가",
    lambda n: "sk-" * (n // 3),
    lambda n: "sk-aaaaaaaaaaaa" * (n // 15),
    lambda n: "https://a:" * (n // 10),
    lambda n: "eyJaaaaaaaaaaaa.eyJ" * (n // 19),
    lambda n: "xoxb-" * (n // 5),
    lambda n: "a@" * (n // 2),
    lambda n: "4111 1111 1111 1112 " * (n // 20),
    lambda n: "DE12 " * (n // 5),
    lambda n: "'" * n,
    lambda n: "ignore all " * (n // 11),
    lambda n: "<a " * (n // 3),
    lambda n: "\n" * n + "a",
    lambda n: "ﷺ" * (n // 4),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("guards", [("leak",), ("personal_data",)])
def test_an_answer_is_scanned_in_linear_time(
    text: Callable[[int], str], guards: tuple[LeakGuard, ...]
) -> None:
    known = AllowedValues((Message("user", "hi"),))

    def screen(given: str) -> None:
        LeakScanner(guards, [], known).feed(given, last=True)
        find_leaks(guards[0], given, [], known)

    assert ratio(screen, text, 2_000) < 24


@pytest.mark.parametrize("text", HOSTILE)
def test_marks_are_counted_in_linear_time(text: Callable[[int], str]) -> None:
    encoder = shared_encoder()

    def read(given: str) -> None:
        clean = encoder.clean(given)
        count_marks(given, [given], _NONE)
        split_passages(clean)

    assert ratio(read, text, 2_000) < 24


def test_an_answer_is_compared_with_a_prompt_in_linear_time() -> None:
    """Once each letter of an answer cost a search through the whole prompt."""
    prompt = prose(60_000)
    known = AllowedValues((Message("system", prompt), Message("user", prompt)))

    def stream(given: str) -> None:
        window = LeakScanner(("leak",), [prompt], known)
        for at in range(0, len(given), 8):
            window.feed(given[at : at + 8])
        window.feed("", last=True)

    def per_prompt(size: int) -> float:
        system = prose(size)
        echo = PromptEcho(system, lambda width: NgramSet("", width))
        echo.feed(letters_and_digits("the index is made with the first piece " * 30))
        pieces = [letters_and_digits(prose(5, seed)) for seed in range(200)]
        started = time.thread_time()
        for piece in pieces:
            echo.feed(piece)
        return time.thread_time() - started

    # A long prompt costs its index once, and then about as much a piece as a short one.
    assert per_prompt(40_000) < 8 * per_prompt(1_000)
    # The asker wrote all of it, so nothing is a leak, and each piece is looked up in both.
    assert ratio(stream, lambda n: prompt[:n], 1_000) < 24


@pytest.mark.parametrize("piece", [1, 7, 5_000])
def test_a_long_prompt_is_recognised_like_a_short_one(piece: int) -> None:
    prompt = prose(2_000)
    written = letters_and_digits(prompt)
    chosen = random.Random(piece)
    for _ in range(40):
        start, length = chosen.randrange(len(written) - 90), chosen.randint(40, 80)
        answer = (
            letters_and_digits(prose(20, chosen.randrange(1000)))
            + "zzz"
            + written[start : start + length]
            + "zzz"
        )
        echo = PromptEcho(prompt, lambda width: NgramSet("", width))
        found = any(echo.feed(answer[at : at + piece]) for at in range(0, len(answer), piece))
        assert found == any(answer[at : at + 60] in written for at in range(len(answer) - 59))


def test_enough_of_a_long_prompt_is_withheld() -> None:
    prompt = prose(2_000)
    window = LeakScanner(("leak",), [prompt], AllowedValues((Message("user", "hi"),)))
    at = len(prompt) // 2
    shown = window.feed("Of course: ")
    for char in prompt[at : at + 400]:
        shown += window.feed(char)
    assert window.leak is not None
    # Fifteen letters, a few spaces, and at most one letter that stood there by chance before.
    assert len(letters_and_digits(shown.removeprefix("Of course: "))) <= 15
