"""Script that reads HTML from stdin and writes two JSON lines.

The first line has all text, the second one the main text.

It runs once per page, imports nothing from the gateway, and has an empty environment and its own resource
limits, because a hostile page may crash or stall any parser. The first line is written before the second one
is computed.
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
    """Collects visible text and title without building a tree, so nesting depth does not matter."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._pieces: list[str] = []
        self._skipped_element = ""  # the skipped element around the current position
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
    """Return `title` and `text` of the whole page, including menus."""
    parser = _TextParser()
    parser.feed(html)
    parser.close()
    return {"title": parser.title, "text": parser.text()[:MAX_CHARACTERS]}


def extract_article(html: str) -> dict[str, str]:
    """Return `title`, `text` (Markdown), `date` and `site` of the main text, as far as they are found."""
    from trafilatura import bare_extraction

    try:
        document = bare_extraction(html, with_metadata=True, include_comments=False, include_formatting=True)
    except Exception as error:  # noqa: BLE001 - hostile pages break parsers in any way
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
            # macOS has no address space limit; the time limit still applies.
            continue


def main() -> None:
    _set_resource_limits()
    html = sys.stdin.buffer.read().decode("utf-8", "replace")
    for extract in (extract_all_text, extract_article):
        sys.stdout.write(json.dumps(extract(html)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
