"""HTML on standard input, two lines of JSON on standard output: all of its text, then its main text.

A program of its own for one page: it imports nothing of the gateway and is started with an empty environment
and limits of its own, because a page may be made to break whatever parses it. Neither a crash nor an endless
loop nor its memory are the gateway's then, and the first line is there before the second one is tried.
"""

from __future__ import annotations

import json
import resource
import sys
from html.parser import HTMLParser

CPU_SECONDS = 8
MEMORY_BYTES = 1024 * 1024 * 1024
MAX_CHARACTERS = 500_000

_SKIPPED = frozenset({"script", "style", "noscript", "template", "svg", "head", "title", "iframe", "object"})
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "footer",
        "form",
    }
    | {"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "option", "p", "pre"}
    | {"section", "table", "td", "th", "tr", "ul"}
)


class _Plain(HTMLParser):
    """All visible text and the title, without a tree: depth costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._pieces: list[str] = []
        self._inside = ""  # the skipped element that we are in
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag == "body":
            self._inside = ""
        elif tag in _SKIPPED and not self._inside:
            self._inside = tag
        elif tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == self._inside:
            self._inside = ""
        elif tag in _BLOCKS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data[:500]
        elif not self._inside:
            self._pieces.append(data)

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def plain(html: str) -> dict[str, str]:
    """`title` and `text` of the whole page, menus and all."""
    parser = _Plain()
    parser.feed(html)
    parser.close()
    return {"title": parser.title, "text": parser.text()[:MAX_CHARACTERS]}


def article(html: str) -> dict[str, str]:
    """`title`, `text` as Markdown, `date` and `site` of the main text; what is not found is left out."""
    from trafilatura import bare_extraction

    try:
        found = bare_extraction(html, with_metadata=True, include_comments=False, include_formatting=True)
    except Exception as error:  # noqa: BLE001 - hostile pages break parsers in any way; the whole text remains
        print(type(error).__name__, file=sys.stderr)  # noqa: T201
        return {}
    if found is None or isinstance(found, dict):
        return {}
    values = {"title": found.title, "text": found.text, "date": found.date, "site": found.sitename}
    return {name: str(value)[:MAX_CHARACTERS] for name, value in values.items() if value}


def _limit() -> None:
    for what, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        try:
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)
        except (OSError, ValueError):
            # macOS has no limit of address space; the time limit holds there, too.
            continue


def main() -> None:
    _limit()
    html = sys.stdin.buffer.read().decode("utf-8", "replace")
    for take in (plain, article):
        sys.stdout.write(json.dumps(take(html)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
