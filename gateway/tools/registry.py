"""The tools a model may call here, built from one table, and the one place that runs them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import structlog
from pydantic import ValidationError

from gateway.domain.chat import ToolSpec
from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.base import Tool, ToolArguments, ToolError

log = structlog.get_logger(__name__)

# A new tool is one file and one line here: name -> module and class; imported only where it is enabled.
TOOLS: dict[str, tuple[str, str]] = {
    "calculator": ("gateway.tools.calculator", "Calculator"),
    "current_time": ("gateway.tools.current_time", "CurrentTime"),
}

MAX_CONTENT_BYTES = 16 * 1024
MAX_ARGUMENT_CHARACTERS = 64 * 1024
_CUT_MARK = "\n[cut: the result was longer than this]"


class ToolConfigurationError(ValueError):
    """The configuration names a tool that this gateway does not have."""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """How a call ended; `content` goes to the model, also where `ok` is False: it then says what to mend."""

    ok: bool
    content: str
    ms: float


class ToolRegistry:
    """The enabled tools by name; immutable, so that all requests may share it."""

    def __init__(self, config: ToolsConfig) -> None:
        """Raises ToolConfigurationError for a name that no tool has."""
        names = list(dict.fromkeys(config.enabled))
        unknown = [name for name in names if name not in TOOLS]
        if unknown:
            raise ToolConfigurationError(
                f"tools.enabled names {', '.join(map(repr, unknown))}, which this gateway does not have; "
                f"it has {', '.join(sorted(TOOLS))}."
            )
        self._tools: dict[str, Tool[Any]] = {name: _load(name)(config) for name in names}
        self._specs = {name: tool.spec() for name, tool in self._tools.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def specs(self, names: Collection[str] | None = None) -> tuple[ToolSpec, ...]:
        """What a model is told: of all tools, or of those enabled ones that `names` holds."""
        return tuple(spec for name, spec in self._specs.items() if names is None or name in names)

    async def aclose(self) -> None:
        """Let go of what the tools have opened."""
        for tool in self._tools.values():
            await tool.aclose()

    async def run(self, call: ToolCall) -> ToolOutcome:
        """Run one call; whatever a model wrote ends in an outcome, only cancellation passes through."""
        started = time.perf_counter()
        try:
            content, ok = await self._run(call), True
        except ToolError as error:
            content, ok = str(error), False
        return ToolOutcome(ok, cap(content), (time.perf_counter() - started) * 1000)

    async def _run(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolError(f"There is no such tool. Available: {', '.join(self._tools) or 'none'}.")
        arguments = parse_arguments(tool, call.arguments)
        try:
            async with asyncio.timeout(tool.timeout_seconds):
                return str(await tool.run(arguments))
        except TimeoutError:
            raise ToolError(
                f"The tool {tool.name} did not finish within {tool.timeout_seconds:g} seconds; ask for less."
            ) from None
        except ToolError:
            raise
        except Exception as error:
            # A slip in one tool must not end the turn that asked for it.
            log.error("tool_crashed", tool=tool.name, error=type(error).__name__)
            raise ToolError(f"The tool {tool.name} failed; go on without it.") from error


def _load(name: str) -> type[Tool[Any]]:
    module, attribute = TOOLS[name]
    tool: type[Tool[Any]] = getattr(import_module(module), attribute)
    return tool


def parse_arguments(tool: Tool[Any], text: str) -> ToolArguments:
    """The arguments as the tool's own type; ToolError, a sentence for the model, if they do not fit."""
    if len(text) > MAX_ARGUMENT_CHARACTERS:
        raise ToolError(f"The arguments are longer than {MAX_ARGUMENT_CHARACTERS} characters.")
    try:
        # A model that has nothing to say often sends nothing at all.
        values = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise ToolError("The arguments are not valid JSON; send one JSON object.") from None
    if not isinstance(values, dict):
        raise ToolError("The arguments must be one JSON object.")
    try:
        arguments: ToolArguments = tool.arguments.model_validate(values)
    except ValidationError as error:
        raise ToolError(f"The arguments do not fit {tool.name}: {_complaints(error)}.") from None
    return arguments


def _complaints(error: ValidationError) -> str:
    """Up to three complaints with their field, without the offending values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"[:200] for e in found[:3])


def cap(content: str) -> str:
    """`content` as valid UTF-8 text of at most `MAX_CONTENT_BYTES`, with a mark where it was cut."""
    raw = content.encode("utf-8", "replace")
    if len(raw) <= MAX_CONTENT_BYTES:
        return raw.decode("utf-8")
    kept = raw[: MAX_CONTENT_BYTES - len(_CUT_MARK.encode())]
    return kept.decode("utf-8", "ignore") + _CUT_MARK
