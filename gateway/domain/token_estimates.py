"""How much of a context window a text takes at most: by the tokenizers that need the most tokens for it."""

from __future__ import annotations

from gateway.domain.money import estimate_tokens

# Hundredths of a token for each character of a class, fitted to llama 2's and SmolLM2's tokenizers over
# prose, code, JSON, tables, logs and hexadecimal, in English, Korean, Chinese, Japanese and a dozen more
# languages (docs/decisions/0019-context-window-and-summaries.md has the figures). Both encode every digit
# separately and most Korean syllables by their bytes; newer ones need fewer tokens.
_LOWER, _UPPER, _DIGIT, _MARK, _BREAK, _SPACE = 23, 50, 102, 76, 50, 27
_ACCENTED, _TWO_BYTES, _THREE_BYTES, _HAN, _HANGUL, _FOUR_BYTES = 240, 115, 210, 180, 260, 400
# Letters among digits stand alone, and letters beyond four a word are no words of English.
_LETTER_BY_DIGIT, _LETTER_PAST_WORD = 56, 58
_LETTERS_OF_A_WORD = 4


def _byte_classes() -> bytes:
    """The class of every byte of UTF-8: of a character's first byte its own, of all others none."""
    table = bytearray(
        b"p" * 128 + b"c" * 64 + b"a" * 12 + b"2" * 20 + b"3" * 4 + b"h" * 6 + b"k" * 5 + b"3" + b"4" * 16
    )
    for byte in range(128):
        character = chr(byte)
        if character.islower():
            table[byte] = ord("l")
        elif character.isupper():
            table[byte] = ord("u")
        elif character.isdigit():
            table[byte] = ord("d")
        elif character == " ":
            table[byte] = ord("s")
        elif character in "\n\r\t":
            table[byte] = ord("n")
    return bytes(table)


_BYTE_CLASSES = _byte_classes()


def estimate_max_tokens(text: str) -> int:
    """Tokens of `text` for the least economical tokenizer that is likely; seldom more than 10 % too few.

    A pass over the bytes and a count for each class: 8,000 characters take 0.02 ms.
    """
    classes = text.encode("utf-8", "replace").translate(_BYTE_CLASSES)
    count = classes.count
    lower, upper, digits = count(b"l"), count(b"u"), count(b"d")
    spaces, breaks, marks = count(b"s"), count(b"n"), count(b"p")
    words = 1 + spaces + breaks + marks
    hundredths = (
        _LOWER * lower
        + _UPPER * upper
        + _DIGIT * digits
        + _MARK * marks
        + _BREAK * breaks
        + _SPACE * spaces
        + _LETTER_BY_DIGIT * min(digits, lower)
        + _LETTER_PAST_WORD * max(0, lower + upper - _LETTERS_OF_A_WORD * words)
    )
    if not text.isascii():
        hundredths += (
            _ACCENTED * count(b"a")
            + _TWO_BYTES * count(b"2")
            + _THREE_BYTES * count(b"3")
            + _HAN * count(b"h")
            + _HANGUL * count(b"k")
            + _FOUR_BYTES * count(b"4")
        )
    return (hundredths + 99) // 100


def tokens_to_reserve(text: str) -> int:
    """Tokens to reserve for `text`: the larger of the usual estimate and `most_tokens`."""
    return max(estimate_tokens(text), estimate_max_tokens(text))


def max_tokens_by_bytes(text: str) -> int:
    """A bound that costs nothing: no tokenizer makes more tokens than a text has bytes."""
    return len(text) if text.isascii() else 4 * len(text)
