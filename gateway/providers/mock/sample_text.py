"""Plausible sample texts, selected by field name."""

from __future__ import annotations

import re

FORMAT_EXAMPLES = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "PT45M",
    "email": "someone@example.com",
    "uuid": "01234567-89ab-4cde-8f01-23456789abcd",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
# Patterns of field names with their texts; the first match is used.
_TEXTS_BY_NAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"id|key|slug|code|identifier", ("attention", "proof", "details", "use", "decision", "story", "care")),
    (r"e?mail", ("someone@example.com", "another@example.com")),
    (r"url|link|href|website", ("https://example.com/first", "https://example.com/second")),
    (r"phone|tel", ("+1 202 555 0101", "+1 202 555 0102")),
    (r"date|day", ("2026-01-15", "2026-02-01", "2026-03-10")),
    (r"colou?r", ("deep blue", "warm grey", "sand")),
    (r"city|place|location", ("Lisbon", "Busan", "Hamburg")),
    (r"country", ("Portugal", "Korea", "Germany")),
    (r"currency", ("EUR", "USD", "KRW")),
    (r"language|locale", ("en", "de", "ko")),
    (r"sub ?(head|title)\w*|tagline|slogan|claim", (
        "Made for the minutes that are yours alone.",
        "Less to think about, more to look forward to.",
    )),
    (r"negative prompt", ("text, watermark, blur, people, clutter",)),
    (r"prompt", (
        "One object in the middle of a plain table, soft morning light from the left, shallow depth of "
        "field, muted colours, photograph, 50 mm lens.",
    )),
    (r"alt( text)?|caption", ("The product on a plain table in soft morning light.",)),
    (r"call to action|cta|button|action", (
        "See it for yourself", "Choose yours today", "Take a closer look",
    )),
    (r"(head(line|ing)?|title|subject)", (
        "A quiet start to the day", "Made to be used", "What it is made of", "Good to know",
        "Yours for years",
    )),
    (r"(first|last|full|user|person)? ?name|author|brand|company", (
        "Morning Hour", "Field & Harbour", "North Window", "Plain & Good",
    )),
    (r"audience|customer|persona|reader|target", (
        "People who would rather own one good thing than three that will do.",
        "Households that cook and eat at home most days.",
    )),
    (r"voice|tone|style|mood", (
        "Calm, exact and warm, with short sentences.", "Friendly and plain, never loud.",
    )),
    (r"goal|purpose|objective|intent", (
        "Show in one look what it is and for whom.",
        "Answer the doubt that comes before the purchase.",
        "Make it easy to decide.",
    )),
    (r"key message|message|promise", ("It does one thing, and does it well for many years.",)),
    (r"values?|keywords?|tags?|topics?|categor(y|ies)", (
        "craft", "calm", "honesty", "durability", "everyday use", "small batches", "warmth", "clarity",
    )),
    (r"avoid|constraints?|forbidden|restrictions?", (
        "No superlatives without proof", "No promises about health", "No comparison with others by name",
    )),
    (r"issues?|problems?|weakness(es)?|risks?|errors?|negatives?|cons", (
        "The second section repeats what the first one says.", "The price is not mentioned anywhere.",
        "The headline could belong to any product.",
    )),
    (r"suggestions?|recommendations?|improvements?|steps?|next", (
        "Say the size in the first section.", "Close with one sentence about delivery.",
        "Name the material early.",
    )),
    (r"strengths?|benefits?|advantages?|points?|features?|reasons?|pros|facts?|highlights?", (
        "It keeps its shape and its colour for years.",
        "It is easy to clean and needs no special care.",
        "It fits the hand and the shelf.",
        "It is made in small batches and checked one by one.",
    )),
)  # fmt: skip
_SENTENCES = (
    "It is made to be used every day and to look better for it.",
    "Nothing about it is in a hurry.",
    "You see at once what it is for.",
    "The material is honest, and so is the price.",
    "Anyone who holds it knows why.",
    "It takes little room and gives a good deal back.",
)
# Values that short fields with a pattern usually accept; tried before a text is generated.
COMMON_VALUES = (
    *_TEXTS_BY_NAME[0][1], "Morning", "en", "EUR", "A1", "AB-1234", "item-1", "first-item", "first_item",
    "v1.2.0",
    "1.2.0", "#3366a0", "2026-01-15", "09:30", "2026", "42", "12345", "1234567890", "+12025550101",
    "someone@example.com", "https://example.com/", "true", "A quiet start", "Morning Hour",
)  # fmt: skip
_NAME_RULES = tuple((re.compile(rf"(?:.* )?(?:{words})"), texts) for words, texts in _TEXTS_BY_NAME)
_MAX_NAME_CHARACTERS = 100  # longer field names are truncated before matching
_NAME_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def sample_text(name: str, index: int, offset: int, minimum: int, maximum: int | None) -> str:
    """Return a text of `minimum` to `maximum` characters for item `index` of a field called `name`.

    Fields with unknown names get sentences, starting at `offset`.
    """
    words = " ".join(part.lower() for part in _NAME_BOUNDARY.split(name[:_MAX_NAME_CHARACTERS]) if part)
    texts = next((texts for rule, texts in _NAME_RULES if rule.fullmatch(words)), _SENTENCES)
    candidates = [text for text in texts if maximum is None or len(text) <= maximum] or [min(texts, key=len)]
    position = index
    if texts is _SENTENCES:
        position = offset + len(name) + 2 * index
        if maximum is None or maximum >= 200:
            minimum = max(minimum, 90)  # a paragraph, if the maximum allows it
    text = candidates[position % len(candidates)]
    while len(text) < minimum:
        position += 1
        text = f"{text} {_SENTENCES[position % len(_SENTENCES)]}"
    return text if maximum is None or len(text) <= maximum else _truncate(text, minimum, maximum)


def _truncate(text: str, minimum: int, maximum: int) -> str:
    """Truncate at a word boundary if enough text remains."""
    cut = text[:maximum]
    words = cut.rpartition(" ")[0].rstrip(" ,.;") if text[maximum] != " " else cut.rstrip(" ,.;")
    return words if len(words) >= max(1, minimum) else cut
