"""What was shown beside an answer's text: the model's thoughts and the tools' results, in bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

# Bytes of all texts of one answer's details together.
MAX_DETAILS_BYTES: Final = 64 * 1024
# Names and ids are the model's words, too.
_MAX_NAME_CHARACTERS: Final = 200
TRUNCATION_MARK: Final = " […]"


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One call of a gateway's tool; `ok`, `ms` and `content` are None until it has ended."""

    id: str
    name: str
    arguments: str
    ok: bool | None = None
    ms: float | None = None
    content: str | None = None


def details_to_storage(reasoning: str, runs: Sequence[ToolRun]) -> dict[str, Any] | None:
    """The details as JSON, None where there are none.

    Texts that are too long together are cut, the longest first, and end with `MARK`; `truncated` says so.
    """
    if not reasoning and not runs:
        return None
    texts = [reasoning, *(text for run in runs for text in (run.arguments, run.content or ""))]
    longest = _max_text_bytes(len(_encoded(text)) for text in texts)
    cut = [_truncate(text, longest) for text in texts]
    rest = iter(cut[1:])
    return {
        "reasoning": cut[0],
        "tools": [_run(run, rest) for run in runs],
        "truncated": cut != texts,
    }


def _run(run: ToolRun, texts: Iterator[str]) -> dict[str, Any]:
    arguments, content = next(texts), next(texts)
    return {
        "id": run.id[:_MAX_NAME_CHARACTERS],
        "name": run.name[:_MAX_NAME_CHARACTERS],
        "arguments": arguments,
        "ok": run.ok,
        "ms": None if run.ms is None else round(run.ms, 3),
        "content": None if run.content is None else content,
    }


def _max_text_bytes(sizes: Iterator[int]) -> int:
    """The most bytes that one text may have, such that all texts together have at most `MOST_BYTES`."""
    ascending = sorted(sizes)
    left = MAX_DETAILS_BYTES
    for at, size in enumerate(ascending):
        share = left // (len(ascending) - at)
        if size > share:
            return share
        left -= size
    return MAX_DETAILS_BYTES


def _truncate(text: str, most: int) -> str:
    data = _encoded(text)
    if len(data) <= most:
        return text
    return data[: max(0, most - len(TRUNCATION_MARK.encode()))].decode(errors="ignore") + TRUNCATION_MARK


def _encoded(text: str) -> bytes:
    """Lone surrogates, which a model's text may hold, count as one byte."""
    return text.encode(errors="replace")


class ToolRuns:
    """The tool calls of a turn in the order in which they began."""

    def __init__(self) -> None:
        self._runs: list[ToolRun] = []

    def start(self, id_: str, name: str, arguments: str) -> None:
        self._runs.append(ToolRun(id_, name, arguments))

    def finish(self, id_: str, *, ok: bool, ms: float, content: str) -> None:
        """Set the result of the newest call with this id that has none: later rounds may repeat an id."""
        for at in reversed(range(len(self._runs))):
            run = self._runs[at]
            if run.id == id_ and run.ok is None:
                self._runs[at] = replace(run, ok=ok, ms=ms, content=content)
                return

    @property
    def all(self) -> Sequence[ToolRun]:
        return tuple(self._runs)
