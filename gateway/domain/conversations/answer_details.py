"""Details stored with an answer: reasoning and tool results, limited in size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

# The total size of one answer's texts.
MAX_DETAILS_BYTES: Final = 64 * 1024
# Names and ids are written by the model, so they are bounded too.
_MAX_NAME_CHARACTERS: Final = 200
TRUNCATION_MARK: Final = " […]"


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One call of a gateway tool.

    `ok`, `ms` and `content` are None until it has ended.
    """

    id: str
    name: str
    arguments: str
    ok: bool | None = None
    ms: float | None = None
    content: str | None = None


def details_to_storage(reasoning: str, runs: Sequence[ToolRun]) -> dict[str, Any] | None:
    """Return the details as JSON, or None if there are none.

    If the texts are too long together, the longest are truncated and end with `TRUNCATION_MARK`.
    """
    if not reasoning and not runs:
        return None
    texts = [reasoning, *(text for run in runs for text in (run.arguments, run.content or ""))]
    max_bytes = _max_text_bytes(len(_encode(text)) for text in texts)
    stored = [_truncate(text, max_bytes) for text in texts]
    rest = iter(stored[1:])
    return {
        "reasoning": stored[0],
        "tools": [_run(run, rest) for run in runs],
        "truncated": stored != texts,
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
    """Return the limit per text that keeps the sum within `MAX_DETAILS_BYTES`."""
    ascending = sorted(sizes)
    remaining = MAX_DETAILS_BYTES
    for at, size in enumerate(ascending):
        share = remaining // (len(ascending) - at)
        if size > share:
            return share
        remaining -= size
    return MAX_DETAILS_BYTES


def _truncate(text: str, max_bytes: int) -> str:
    data = _encode(text)
    if len(data) <= max_bytes:
        return text
    kept = max(0, max_bytes - len(TRUNCATION_MARK.encode()))
    return data[:kept].decode(errors="ignore") + TRUNCATION_MARK


def _encode(text: str) -> bytes:
    """Encode as UTF-8, with one byte for each lone surrogate in a model's text."""
    return text.encode(errors="replace")


class ToolRuns:
    """The tool calls of a turn, in the order in which they started."""

    def __init__(self) -> None:
        self._runs: list[ToolRun] = []

    def start(self, id_: str, name: str, arguments: str) -> None:
        self._runs.append(ToolRun(id_, name, arguments))

    def finish(self, id_: str, *, ok: bool, ms: float, content: str) -> None:
        """Set the result of the newest call with this id that has none.

        Ids may repeat in later rounds of tool calls.
        """
        for at in reversed(range(len(self._runs))):
            run = self._runs[at]
            if run.id == id_ and run.ok is None:
                self._runs[at] = replace(run, ok=ok, ms=ms, content=content)
                return

    @property
    def all(self) -> Sequence[ToolRun]:
        return tuple(self._runs)
