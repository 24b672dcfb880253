"""Reasoning and tool results that are stored with an answer, in bounded size."""

from __future__ import annotations

import pytest

from gateway.core.database import dump_json
from gateway.domain.conversations.answer_details import (
    MAX_DETAILS_BYTES,
    TRUNCATION_MARK,
    ToolRun,
    ToolRuns,
    details_to_storage,
)


def _run(content: str | None, arguments: str = "{}") -> ToolRun:
    return ToolRun("call_1", "calculator", arguments, ok=content is not None, ms=1.5, content=content)


def _bytes(details: dict) -> int:
    texts = [details["reasoning"]]
    for run in details["tools"]:
        texts += [run["arguments"], run["content"] or ""]
    return sum(len(text.encode()) for text in texts)


def test_an_answer_without_reasoning_and_tools_has_no_details():
    assert details_to_storage("", []) is None


def test_details_within_the_limit_are_stored_unchanged():
    details = details_to_storage("a" * 30_000, [_run("b" * 30_000)])
    assert details == {
        "reasoning": "a" * 30_000,
        "tools": [
            {
                "id": "call_1",
                "name": "calculator",
                "arguments": "{}",
                "ok": True,
                "ms": 1.5,
                "content": "b" * 30_000,
            }
        ],
        "truncated": False,
    }


@pytest.mark.parametrize("letter", ["a", "é", "한", "😀"])
def test_only_texts_that_are_too_long_are_truncated_with_a_mark(letter: str):
    details = details_to_storage(
        letter * 100_000, [_run("short"), _run(letter * 100_000, '{"a": 1}'), _run(None)]
    )
    assert details is not None
    assert details["truncated"] is True
    assert MAX_DETAILS_BYTES - 16 < _bytes(details) <= MAX_DETAILS_BYTES
    assert details["tools"][0]["content"] == "short"
    assert details["tools"][1]["arguments"] == '{"a": 1}'
    assert details["tools"][2]["content"] is None
    for text in (details["reasoning"], details["tools"][1]["content"]):
        assert text.endswith(TRUNCATION_MARK)
        assert set(text.removesuffix(TRUNCATION_MARK)) == {letter}


def test_many_large_results_stay_within_the_bound():
    details = details_to_storage("", [_run("x" * 5_000, "y" * 5_000) for _ in range(200)])
    assert details is not None
    assert _bytes(details) <= MAX_DETAILS_BYTES
    assert len(details["tools"]) == 200


def test_details_with_a_lone_surrogate_can_be_stored():
    details = details_to_storage("\ud83d" + "a" * MAX_DETAILS_BYTES, [_run("\udc00")])
    assert details is not None
    assert details["reasoning"].endswith("a" + TRUNCATION_MARK)
    assert '"truncated":true' in dump_json(details)


def test_a_result_belongs_to_the_call_of_its_round():
    runs = ToolRuns()
    runs.start("call_0", "calculator", "first")
    runs.finish("call_0", ok=True, ms=1, content="1")
    runs.start("call_0", "calculator", "second")
    runs.start("call_1", "calculator", "open")
    runs.finish("call_0", ok=False, ms=2, content="2")
    assert [(run.arguments, run.ok, run.content) for run in runs.all] == [
        ("first", True, "1"),
        ("second", False, "2"),
        ("open", None, None),
    ]
