"""Results of several searches made one list: each page once, each story once, and as text for a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from gateway.tools.web_text import line

_TRACKING = re.compile(
    r"utm_\w+|gclid|fbclid|msclkid|dclid|yclid|igshid|mc_[ce]id|ocid|cmpid|ref_src|ns_\w+|at_\w+", re.I
)
_WEB = re.compile(r"https?://[^\s/]", re.I)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f<>\"\ud800-\udfff\u2028\u2029]")
_SITE_SUFFIX = re.compile(r"(?<!\s)\s+[-–—|·:]\s+[^-–—|·:]{1,40}$")
_WORDS = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_SHORTEST_TITLE = 16  # shorter ones ("Home", "Python") are alike by chance
_ALIKE = 0.95
_RANK_OFFSET = 60  # of reciprocal rank fusion
_LONGEST_URL = 600


@dataclass(frozen=True, slots=True)
class Found:
    """One page; `date` is empty where the engine knows none."""

    title: str
    url: str
    snippet: str
    source: str
    date: str
    news: bool


def as_found(row: Mapping[str, Any], *, news: bool) -> Found | None:
    """A row of `ddgs` made safe, or None if it names no page."""
    url = _UNSAFE.sub(lambda m: quote(m[0].encode("utf-8", "ignore")), _text(row, "url" if news else "href"))
    title = line(_text(row, "title"), 200)
    if not _WEB.match(url) or len(url) > _LONGEST_URL or not title:
        return None
    host = _host(url)
    source = line(_text(row, "source"), 60)
    date = _date(_text(row, "date"))
    return Found(title, url, line(_text(row, "body"), 400), source or host, date, news)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _date(text: str) -> str:
    """A day where it can be read as one, else what the engine said ("2 hours ago")."""
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return line(text, 40)


def page_key(url: str) -> str:
    """The same for two addresses of one page: without scheme, `www.`, tracking, fragment and final slash."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removeprefix("www."), parts.port
    except ValueError:
        return url
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(sorted(pair for pair in pairs if not _TRACKING.fullmatch(pair[0])))
    return f"{host}:{'' if port in (None, 80, 443) else port}{parts.path.rstrip('/')}?{query}"


def _title_key(title: str) -> str:
    """The title's words, without the site's name at its end."""
    plain = unicodedata.normalize("NFKC", title).casefold()
    shorter = _SITE_SUFFIX.sub("", plain)
    return " ".join(_WORDS.findall(shorter if len(shorter) >= _SHORTEST_TITLE else plain))


def same_story(one: str, other: str) -> bool:
    """Whether two title keys are all but equal; titles that differ in a number never are."""
    if min(len(one), len(other)) < _SHORTEST_TITLE:
        return False
    if one == other:
        return True
    if _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return (
        matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
    )


def merge(lists: Iterable[Sequence[Found]], most: int) -> list[Found]:
    """The best `most` of all lists; what several of them have comes first (reciprocal rank fusion)."""
    kept: list[Found] = []
    scores: list[float] = []
    titles: list[str] = []
    places: dict[str, int] = {}
    for results in lists:
        for rank, found in enumerate(results):
            key, title = page_key(found.url), _title_key(found.title)
            at = places.get(key)
            if at is None:
                at = next((n for n, known in enumerate(titles) if same_story(title, known)), None)
            if at is None:
                at = len(kept)
                kept.append(found)
                scores.append(0.0)
                titles.append(title)
            else:
                kept[at] = _together(kept[at], found)
            places[key] = at
            scores[at] += 1 / (_RANK_OFFSET + rank)
    order = sorted(range(len(kept)), key=lambda n: -scores[n])
    return [kept[n] for n in order[:most]]


def _together(first: Found, again: Found) -> Found:
    """The first one's page, with what only the other one knows."""
    return replace(
        first,
        snippet=max(first.snippet, again.snippet, key=len),
        source=again.source if again.news and not first.news else first.source,
        date=first.date or again.date,
        news=first.news or again.news,
    )


def as_text(results: Sequence[Found], room: int) -> str:
    """A numbered list: title, address, source with date, snippet; whole entries only, within `room` bytes."""
    entries: list[str] = []
    for number, found in enumerate(results, start=1):
        about = " · ".join(filter(None, (found.source, found.date, "news" if found.news else "")))
        lines = (f"{number}. {found.title}", found.url, about, found.snippet)
        entry = "\n   ".join(filter(None, lines))
        room -= len(entry.encode()) + 2
        if room < 0:
            break
        entries.append(entry)
    return "\n\n".join(entries)
