"""CONTRIBUTING.md's recipe for a tool, followed to the letter."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from gateway import tools
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools import registry
from tests.support.paths import PROJECT

PAGE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")


async def test_the_recipe_for_a_tool_gives_a_tool_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, code, line, *_ = PAGE.split("## A tool", 1)[1].split("```python\n")
    code, line = code.split("```", 1)[0], line.split("```", 1)[0]
    (tmp_path / "word_count.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gateway.tools.word_count", raising=False)
    monkeypatch.setattr(registry, "TOOLS", registry.TOOLS | ast.literal_eval("{" + line + "}"))
    made = registry.ToolRegistry(ToolsConfig(enabled=("word_count",)))

    outcome = await made.run(ToolCall("1", "word_count", '{"text": "one two three"}'))

    assert (outcome.ok, outcome.content) == (True, "3 words")
