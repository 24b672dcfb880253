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

_SKIPPED_ELEMENTS = frozenset(
    {"script", "style", "noscript", "template", "svg", "head", "title", "iframe", "object"}
)
_BLOCK_ELEMENTS = frozenset(
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


class _TextParser(HTMLParser):
    """All visible text and the title, without a tree: depth costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._pieces: list[str] = []
        self._skipped_element = ""  # the skipped element that we are in
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag == "body":
            self._skipped_element = ""
        elif tag in _SKIPPED_ELEMENTS and not self._skipped_element:
            self._skipped_element = tag
        elif tag in _BLOCK_ELEMENTS:
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == self._skipped_element:
            self._skipped_element = ""
        elif tag in _BLOCK_ELEMENTS:
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data[:500]
        elif not self._skipped_element:
            self._pieces.append(data)

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def extract_all_text(html: str) -> dict[str, str]:
    """`title` and `text` of the whole page, menus and all."""
    parser = _TextParser()
    parser.feed(html)
    parser.close()
    return {"title": parser.title, "text": parser.text()[:MAX_CHARACTERS]}


def extract_article(html: str) -> dict[str, str]:
    """`title`, `text` as Markdown, `date` and `site` of the main text; what is not found is left out."""
    from trafilatura import bare_extraction

    try:
        document = bare_extraction(html, with_metadata=True, include_comments=False, include_formatting=True)
    except Exception as error:  # noqa: BLE001 - hostile pages break parsers in any way; the whole text remains
        print(type(error).__name__, file=sys.stderr)  # noqa: T201
        return {}
    if document is None or isinstance(document, dict):
        return {}
    values = {
        "title": document.title,
        "text": document.text,
        "date": document.date,
        "site": document.sitename,
    }
    return {name: str(value)[:MAX_CHARACTERS] for name, value in values.items() if value}


def _set_resource_limits() -> None:
    for resource_type, limit in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(resource_type)[1]
        try:
            resource.setrlimit(
                resource_type, (limit if hard == resource.RLIM_INFINITY else min(limit, hard),) * 2
            )
        except (OSError, ValueError):
            # macOS has no limit of address space; the time limit holds there, too.
            continue


def main() -> None:
    _set_resource_limits()
    html = sys.stdin.buffer.read().decode("utf-8", "replace")
    for extract in (extract_all_text, extract_article):
        sys.stdout.write(json.dumps(extract(html)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
