"""Merges the results of several searches without duplicates, and formats them for a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from gateway.tools.text import single_line

_TRACKING = re.compile(
    r"utm_\w+|gclid|fbclid|msclkid|dclid|yclid|igshid|mc_[ce]id|ocid|cmpid|ref_src|ns_\w+|at_\w+", re.I
)
_HTTP_URL = re.compile(r"https?://[^\s/]", re.I)
_UNSAFE_CHARACTERS = re.compile(r"[\x00-\x20\x7f-\x9f<>\"\ud800-\udfff\u2028\u2029]")
_SITE_SUFFIX = re.compile(r"(?<!\s)\s+[-–—|·:]\s+[^-–—|·:]{1,40}$")
_WORDS = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_MIN_TITLE_CHARACTERS = 16  # shorter ones ("Home", "Python") are equal by chance
_SIMILARITY_THRESHOLD = 0.95
_RANK_OFFSET = 60  # of reciprocal rank fusion
_MAX_URL_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A page that was found; `date` is empty if unknown."""

    title: str
    url: str
    snippet: str
    source: str
    date: str
    news: bool


def parse_result(row: Mapping[str, Any], *, news: bool) -> SearchResult | None:
    """Sanitize a row of `ddgs`; None if it has no title or URL."""
    url = _UNSAFE_CHARACTERS.sub(
        lambda m: quote(m[0].encode("utf-8", "ignore")), _text_field(row, "url" if news else "href")
    )
    title = single_line(_text_field(row, "title"), 200)
    if not _HTTP_URL.match(url) or len(url) > _MAX_URL_CHARACTERS or not title:
        return None
    host = _host(url)
    source = single_line(_text_field(row, "source"), 60)
    date = _parse_date(_text_field(row, "date"))
    return SearchResult(title, url, single_line(_text_field(row, "body"), 400), source or host, date, news)


def _text_field(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _parse_date(text: str) -> str:
    """Return an ISO date if possible, else the engine's text ("2 hours ago")."""
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return single_line(text, 40)


def canonical_url(url: str) -> str:
    """Normalise a URL for comparison.

    Scheme, `www.`, tracking parameters, fragment and trailing slash are removed.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removeprefix("www."), parts.port
    except ValueError:
        return url
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(sorted(pair for pair in pairs if not _TRACKING.fullmatch(pair[0])))
    return f"{host}:{'' if port in (None, 80, 443) else port}{parts.path.rstrip('/')}?{query}"


def _title_key(title: str) -> str:
    """Normalise a title for comparison.

    The result has lower-case words, without the site name at the end.
    """
    plain = unicodedata.normalize("NFKC", title).casefold()
    shorter = _SITE_SUFFIX.sub("", plain)
    return " ".join(_WORDS.findall(shorter if len(shorter) >= _MIN_TITLE_CHARACTERS else plain))


def is_same_story(first: str, second: str) -> bool:
    """Whether two normalised titles are nearly equal.

    Titles with different numbers are not equal.
    """
    if min(len(first), len(second)) < _MIN_TITLE_CHARACTERS:
        return False
    if first == second:
        return True
    if _DIGITS.findall(first) != _DIGITS.findall(second):
        return False
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    return (
        matcher.real_quick_ratio() >= _SIMILARITY_THRESHOLD
        and matcher.quick_ratio() >= _SIMILARITY_THRESHOLD
        and matcher.ratio() >= _SIMILARITY_THRESHOLD
    )


def merge(lists: Iterable[Sequence[SearchResult]], max_results: int) -> list[SearchResult]:
    """Merge result lists by reciprocal rank fusion and return the best `max_results`."""
    merged: list[SearchResult] = []
    scores: list[float] = []
    titles: list[str] = []
    index_by_url: dict[str, int] = {}
    for results in lists:
        for rank, result in enumerate(results):
            key, title = canonical_url(result.url), _title_key(result.title)
            index = index_by_url.get(key)
            if index is None:
                index = next((n for n, known in enumerate(titles) if is_same_story(title, known)), None)
            if index is None:
                index = len(merged)
                merged.append(result)
                scores.append(0.0)
                titles.append(title)
            else:
                merged[index] = _combine(merged[index], result)
            index_by_url[key] = index
            scores[index] += 1 / (_RANK_OFFSET + rank)
    order = sorted(range(len(merged)), key=lambda n: -scores[n])
    return [merged[n] for n in order[:max_results]]


def _combine(first: SearchResult, other: SearchResult) -> SearchResult:
    """Return the first result, completed with data of the other one."""
    return replace(
        first,
        snippet=max(first.snippet, other.snippet, key=len),
        source=other.source if other.news and not first.news else first.source,
        date=first.date or other.date,
        news=first.news or other.news,
    )


def format_results(results: Sequence[SearchResult], max_bytes: int) -> str:
    """Format a numbered list (title, URL, source and date, snippet) of complete entries in `max_bytes`."""
    entries: list[str] = []
    for number, found in enumerate(results, start=1):
        metadata = " · ".join(filter(None, (found.source, found.date, "news" if found.news else "")))
        lines = (f"{number}. {found.title}", found.url, metadata, found.snippet)
        entry = "\n   ".join(filter(None, lines))
        max_bytes -= len(entry.encode()) + 2
        if max_bytes < 0:
            break
        entries.append(entry)
    return "\n\n".join(entries)
