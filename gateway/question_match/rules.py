"""Rules that exclude that two questions are the same."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from gateway.question_match.lexicon import FUNCTION_WORDS, KOREAN_HARMLESS, OPPOSITES, PREFIXES, RELATIONAL
from gateway.question_match.parser import ParsedQuestion
from gateway.question_match.parser import stem as stem_of

_TENSE_ENDINGS = {"은", "는"}
_OPPOSITE_STEMS = frozenset((stem_of(one), stem_of(other)) for one, other in OPPOSITES)


def unmatched_stems(a: ParsedQuestion, b: ParsedQuestion) -> tuple[list[str], list[str]]:
    """Stems that only one of both has, without function words."""
    return _unmatched(a, b), _unmatched(b, a)


def same_words(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    """Whether both have the same words, ignoring case.

    In Korean also ignoring particles and politeness.
    """
    if a.words == b.words:
        return bool(a.words)
    if all(word.isascii() for word in (*a.words, *b.words)):
        return False
    one, other = ([s for s in reading.stems if s not in KOREAN_HARMLESS] for reading in (a, b))
    return one == other and bool(one)


def unmatched_function_words(a: ParsedQuestion, b: ParsedQuestion) -> list[str]:
    """Function words that only one of both has, with a prefix for separate weights."""
    mine, theirs = FUNCTION_WORDS & set(a.words), FUNCTION_WORDS & set(b.words)
    return sorted(f"={word}" for word in mine ^ theirs)


def _unmatched(a: ParsedQuestion, b: ParsedQuestion) -> list[str]:
    theirs = Counter(b.stems)
    # "smart phone" and "smartphone" are equal.
    whole, joined = set(b.words), {one + other for one, other in pairwise(b.words)}
    parts = {part for pair in pairwise(a.words) if "".join(pair) in whole for part in pair}
    found = []
    for word, stem in zip(a.words, a.stems, strict=True):
        if theirs[stem] > 0:
            theirs[stem] -= 1
        elif word not in FUNCTION_WORDS and word not in joined and word not in parts:
            found.append(stem)
    return found


def disqualifying_difference(a: ParsedQuestion, b: ParsedQuestion) -> str | None:
    """Why both cannot be the same question; None if no rule applies.

    Rules cover numbers, names, dates and other closed word classes, negations, what is asked for (who, when,
    …), opposites, and exchanged roles.
    """
    if a.numbers != b.numbers:
        return "number"
    if a.negations % 2 != b.negations % 2:
        return "negation"
    if a.classes != b.classes:
        return "class"
    if a.answer_kinds and b.answer_kinds and not a.answer_kinds & b.answer_kinds:
        return "kind"
    left, right = unmatched_stems(a, b)
    if (a.names & set(left)) or (b.names & set(right)):
        return "name"
    if _has_opposites(a, b):
        return "opposite"
    if _has_swapped_roles(a, b):
        return "order"
    if any(_has_unknown_script(stem) for stem in (*left, *right)):
        return "word"
    return None


def _has_unknown_script(stem: str) -> bool:
    """Whether the stem is in a script without weights, and not only politeness."""
    return not stem.isascii() and stem not in KOREAN_HARMLESS and any(c > "\u024f" for c in stem)


def _has_opposites(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    mine_stems, their_stems = set(a.stems) - set(b.stems), set(b.stems) - set(a.stems)
    if any((x, y) in _OPPOSITE_STEMS for x in mine_stems for y in their_stems):
        return True
    return any(
        y == prefix + x or x == prefix + y
        for x in mine_stems
        for y in their_stems
        if x not in FUNCTION_WORDS and y not in FUNCTION_WORDS
        for prefix in PREFIXES
    )


def _has_swapped_roles(a: ParsedQuestion, b: ParsedQuestion) -> bool:
    """Whether two things change places around a word such as "to" or "than"."""
    roles = dict(b.roles)
    if any(roles.get(stem, role) != role for stem, role in a.roles):
        return True
    # A noun takes only one of both endings: if both occur, they are tenses of a verb.
    if any({x, y} == _TENSE_ENDINGS for x, y in _endings(a, b)):
        return True
    theirs = _relations(b)
    return any((y, turn, x) in theirs for x, turn, y in _relations(a))


def _endings(a: ParsedQuestion, b: ParsedQuestion) -> list[tuple[str, str]]:
    """Endings of words with the same stem, in both questions."""
    theirs = dict(zip(b.stems, b.words, strict=True))
    return [
        (word[len(stem) :], theirs[stem][len(stem) :])
        for word, stem in zip(a.words, a.stems, strict=True)
        if theirs.get(stem, word) != word
    ]


def _relations(reading: ParsedQuestion) -> set[tuple[str, str, str]]:
    """(one of two content words before, relational word, next content word)."""
    found: set[tuple[str, str, str]] = set()
    before: list[str] = []
    turns: list[tuple[str, list[str]]] = []
    for word, stem in zip(reading.words, reading.stems, strict=True):
        if word in RELATIONAL:
            turns.append((word, before[-2:]))
        elif word not in FUNCTION_WORDS or word in ("i", "you", "he", "she", "me"):
            found.update((x, turn, stem) for turn, some in turns for x in some if x != stem)
            turns.clear()
            before.append(stem)
    return found
