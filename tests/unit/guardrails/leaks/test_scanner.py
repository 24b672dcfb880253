"""The leak scanner: clean text passes unchanged in any chunks, leaks do not."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.messages import Message
from gateway.guardrails.leaks.patterns import PERSONAL_DATA as PERSONAL_SHAPES
from gateway.guardrails.leaks.patterns import SECRETS as SECRET_SHAPES
from gateway.guardrails.leaks.scanner import AllowedValues, LeakGuard, LeakScanner, find_leaks
from tests.support.paths import PROJECT
from tests.support.sample_secrets import PERSONAL, SECRETS

BOTH: tuple[LeakGuard, ...] = ("leak", "personal_data")
NOTHING = AllowedValues(())
# Beginnings of everything that is looked for, and what may stand around it.
CRUMBS = [*(s[:n] for s in (*SECRETS.values(), *PERSONAL.values()) for n in (2, 5, 9, 14)), *" .,:/@-_\n\"'="]
clean = st.lists(st.sampled_from(CRUMBS) | st.text(max_size=6), max_size=30).map("".join)
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def pieces(text: str, sizes: list[int]) -> list[str]:
    cuts, at, n = [], 0, 0
    while at < len(text):
        cuts.append(text[at : at + sizes[n % len(sizes)]])
        at += len(cuts[-1])
        n += 1
    return cuts


def kinds(text: str) -> set[str]:
    """What is a leak at any place of the text, whatever else begins there."""
    return {
        shape.description
        for table in (SECRET_SHAPES, PERSONAL_SHAPES)
        for shape, pattern in table.patterns
        for match in (pattern.match(text, at) for at in range(len(text)))
        if match is not None and shape.is_valid(match.group())
    }


def through(window: LeakScanner, chunks: list[str]) -> str:
    return "".join(map(window.feed, chunks)) + window.feed("", last=True)


@pytest.mark.parametrize("secret", [*SECRETS.values(), *PERSONAL.values()], ids=[*SECRETS, *PERSONAL])
@given(before=st.sampled_from(["", "It is ", "key=", "\n> ", "(", "Ask 7 or "]), after=clean, sizes=sizes)
def test_no_character_of_a_secret_is_released(secret: str, before: str, after: str, sizes: list[int]) -> None:
    text = f"{before}{secret} {after}"
    window = LeakScanner(BOTH, [], NOTHING)
    out = through(window, pieces(text, sizes))
    assert window.leak is not None
    assert before.startswith(out)


@example(text="900101-1234568jane.doe@jane.doe@", sizes=[1])  # two that begin at the same place
@given(text=clean, sizes=sizes)
def test_the_verdict_does_not_depend_on_the_chunks(text: str, sizes: list[int]) -> None:
    window = LeakScanner(BOTH, [], NOTHING)
    out = through(window, pieces(text, sizes))
    leaks = {guard: find_leaks(guard, text, [], NOTHING) for guard in BOTH}
    if window.leak is None:
        assert not any(leaks.values())
        assert out == text
    else:
        assert leaks[window.leak.guard]
        # Of two kinds that begin at one place, a stream names the one that is whole first.
        assert window.leak.description in kinds(text)
        assert text.startswith(out)


@given(text=clean, sizes=sizes)
def test_withheld_text_is_bounded_by_the_longest_pattern(text: str, sizes: list[int]) -> None:
    window = LeakScanner(BOTH, [], NOTHING)
    bound = max(SECRET_SHAPES.max_length, PERSONAL_SHAPES.max_length)
    for chunk in pieces(text, sizes):
        window.feed(chunk)
        assert len(window.withheld_text) <= bound + len(chunk)


def test_nothing_is_released_after_a_leak() -> None:
    window = LeakScanner(("leak",), [], NOTHING)
    assert window.feed(f"Here: {SECRETS['github']} and ") == "Here: "
    assert window.feed("more") == window.feed("", last=True) == ""


def test_prose_is_rarely_withheld() -> None:
    window = LeakScanner(
        ("leak",), ["You are the assistant of a shop. Be kind and answer in French."], NOTHING
    )
    text = (PROJECT / "docs" / "ARCHITECTURE.md").read_text()
    held = []
    for chunk in pieces(text, [1, 5, 4, 6]):
        window.feed(chunk)
        held.append(len(window.withheld_text))
    assert window.leak is None
    assert max(held) < 80
    assert sum(held) / len(held) < 1


@pytest.mark.parametrize("path", ["README.md", "docs", "bench/quality/exemplars"])
def test_the_projects_prose_contains_no_leak(path: str) -> None:
    place = PROJECT / path
    files = (
        [place] if place.is_file() else [p for p in place.rglob("*") if p.suffix in (".md", ".txt", ".tsv")]
    )
    assert files
    for file in files:
        assert find_leaks("leak", file.read_text(), [], NOTHING) == [], file.name


PROMPT = (
    "You are Ada, the assistant of the ACME shop. Never mention the discount code SUMMER-42 to anybody, "
    "and always answer in French, however you are asked."
)


@pytest.mark.parametrize(
    "echo",
    [
        PROMPT,
        PROMPT.upper(),
        PROMPT.replace(" ", "\n> "),
        " ".join(PROMPT.replace(" ", "")),
        PROMPT.replace(",", " —").replace(".", "!"),
        "**" + PROMPT[30:110] + "**",
        "`" + "`, `".join(PROMPT.split()) + "`",
    ],
)
@pytest.mark.parametrize("size", [1, 4, 50, 1000])
def test_a_prompt_is_recognised_in_any_formatting(echo: str, size: int) -> None:
    window = LeakScanner(("leak",), [PROMPT], NOTHING)
    out = through(window, pieces(f"Sure: {echo} - that is all.", [size]))
    assert window.leak is not None
    assert sum(c.isalnum() for c in out) <= len("sure") + 15


def test_a_korean_prompt_is_recognised() -> None:
    prompt = "당신은 가게의 도우미입니다. 할인 코드 여름은 누구에게도 말하지 마세요. 늘 존댓말로 대답하세요."
    window = LeakScanner(("leak",), [prompt], NOTHING)
    out = through(window, pieces(f"네: {prompt}", [3]))
    assert window.leak is not None
    assert len(out) < 20


def test_a_phrase_of_the_prompt_is_not_a_leak() -> None:
    text = "I am the assistant of the ACME shop, and I always answer in French."
    window = LeakScanner(("leak",), [PROMPT], NOTHING)
    assert through(window, pieces(text, [3])) == text
    assert window.leak is None


def test_a_very_short_prompt_is_not_checked() -> None:
    window = LeakScanner(("leak",), ["You are a helpful assistant."], NOTHING)
    assert through(window, ["You are a helpful assistant."]) == "You are a helpful assistant."


def test_only_what_the_user_quoted_of_the_prompt_may_be_repeated() -> None:
    asked = AllowedValues((Message("user", f"What does '{PROMPT[:90]}' mean?"),))
    quoting = LeakScanner(("leak",), [PROMPT], asked)
    text = f"'{PROMPT[:90]}' is an instruction."
    assert through(quoting, pieces(text, [7])) == text
    telling = LeakScanner(("leak",), [PROMPT], asked)
    through(telling, pieces(PROMPT, [7]))
    assert telling.leak is not None
