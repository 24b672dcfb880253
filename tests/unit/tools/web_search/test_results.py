"""Merging of search results: duplicates by page and story, best results first."""

from __future__ import annotations

import pytest

from gateway.tools.web_search.results import SearchResult, canonical_url, is_same_story, merge, parse_result


def found(
    title: str, url: str, *, news: bool = False, snippet: str = "", date: str = "", source: str = ""
) -> SearchResult:
    return SearchResult(title, url, snippet, source, date, news)


@pytest.mark.parametrize(
    "other",
    [
        "http://site.example/a/b?x=1&y=2",
        "https://www.site.example/a/b?x=1&y=2",
        "https://SITE.example/a/b/?y=2&x=1",
        "https://site.example:443/a/b?x=1&y=2#part",
        "https://site.example/a/b?utm_source=n&x=1&fbclid=z&y=2&UTM_Medium=q",
    ],
)
def test_variants_of_one_url_are_one_page(other: str) -> None:
    assert canonical_url(other) == canonical_url("https://site.example/a/b?x=1&y=2")


@pytest.mark.parametrize(
    "other",
    [
        "https://site.example/a/B?x=1",
        "https://site.example/a/b?x=2",
        "https://site.example/a/b",
        "https://site.example:8443/a/b?x=1",
        "https://en.site.example/a/b?x=1",
    ],
)
def test_different_urls_are_different_pages(other: str) -> None:
    assert canonical_url(other) != canonical_url("https://site.example/a/b?x=1")


def test_an_invalid_url_equals_only_itself() -> None:
    assert canonical_url("http://[") == "http://["


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Harvest of tea begins early", "Harvest of Tea begins early!", True),
        ("Harvest of tea begins early - The Paper", "Harvest of tea begins early | Daily", True),
        ("올해 차 수확이 일찍 시작되었습니다 - 신문", "올해 차 수확이 일찍 시작되었습니다", True),
        ("Ｈarvest of tea begins early", "Harvest of tea begins early", True),
        ("Python 3.13 is released today for all", "Python 3.14 is released today for all", False),
        ("Tea prices rise by 5 percent in May", "Tea prices rise by 6 percent in May", False),
        ("Central bank raises interest rates", "Central bank lowers interest rates", False),
        ("Home", "Home", False),
        ("Python", "Python", False),
        ("Harvest of tea begins early", "Harvest of coffee begins late", False),
    ],
)
def test_titles_are_compared_as_stories(one: str, other: str, same: bool) -> None:
    results = merge([[found(one, "https://a.example/"), found(other, "https://b.example/")]], 10)

    assert (len(results) == 1) is same


def test_title_similarity_is_symmetric() -> None:
    pairs = [("harvest of tea begins early", "harvest of tea begins earlyy"), ("a" * 40, "b" * 40)]
    for one, other in pairs:
        assert is_same_story(one, other) == is_same_story(other, one)


def test_results_of_both_searches_come_first_with_merged_data() -> None:
    text = [
        found("First page of text", "https://one.example/"),
        found(
            "Tea harvest begins now",
            "https://paper.example/tea",
            snippet="longer snippet",
            source="paper.example",
        ),
    ]
    news = [
        found("Other news of the day", "https://two.example/", news=True, date="2026-01-02"),
        found(
            "Tea harvest begins now",
            "https://www.paper.example/tea/",
            news=True,
            date="2026-03-04",
            source="The Paper",
        ),
    ]

    results = merge([text, news], 10)

    assert results[0] == SearchResult(
        "Tea harvest begins now",
        "https://paper.example/tea",
        "longer snippet",
        "The Paper",
        "2026-03-04",
        True,
    )
    assert [r.title for r in results[1:]] == ["First page of text", "Other news of the day"]


def test_a_page_merged_by_title_is_recognised_again() -> None:
    lists = [
        [
            found("Tea harvest begins now", "https://a.example/"),
            found("Tea harvest begins now", "https://b.example/"),
        ],
        [found("Something else entirely", "https://b.example/")],
    ]

    assert [r.url for r in merge(lists, 10)] == ["https://a.example/"]


def test_no_more_results_than_requested() -> None:
    pages = [found(f"Page {n}", f"https://p{n}.example/") for n in range(30)]

    assert merge([pages], 5) == pages[:5]
    assert merge([], 5) == []
    assert merge([[]], 5) == []


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        ("2026-03-04T05:06:07+00:00", "2026-03-04"),
        ("2026-03-04", "2026-03-04"),
        ("2 hours ago", "2 hours ago"),
        ("", ""),
        ("9" * 500, "9" * 39 + "…"),
    ],
)
def test_dates_become_days_if_they_can_be_parsed(date: str, shown: str) -> None:
    row = {"title": "A title", "url": "https://a.example/", "date": date}
    result = parse_result(row, news=True)

    assert result is not None
    assert result.date == shown
    assert result.source == "a.example"
