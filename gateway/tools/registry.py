"""The table of tools, and the only place that runs them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from decimal import Decimal
from importlib import import_module
from types import MappingProxyType
from typing import Any

import structlog
from pydantic import ValidationError

from gateway.domain.config.tools import MCP_SEPARATOR, ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.domain.requests import ToolSpec
from gateway.tools.base import Tool, ToolArguments, ToolError, ToolOutput, ToolSource, TurnServices, TurnTool
from gateway.tools.result import MAX_CONTENT_BYTES, ToolResult, truncate

__all__ = ["MAX_CONTENT_BYTES", "TOOLS", "ToolConfigurationError", "ToolRegistry", "ToolResult"]

log = structlog.get_logger(__name__)

# A new tool is one file and one line here: name -> (module, class). A module is imported only if it is
# enabled.
TOOLS: dict[str, tuple[str, str]] = {
    "calculator": ("gateway.tools.calculator.tool", "CalculatorTool"),
    "code": ("gateway.tools.code.tool", "CodeTool"),
    "current_time": ("gateway.tools.current_time", "CurrentTimeTool"),
    "fetch": ("gateway.tools.fetch.tool", "FetchTool"),
    "image": ("gateway.tools.image", "ImageTool"),
    "web_search": ("gateway.tools.web_search.tool", "WebSearchTool"),
}

MAX_ARGUMENT_CHARACTERS = 64 * 1024
_MAX_LISTED = 32
_NO_COST = Decimal(0)
_NO_SERVICES = TurnServices()


class ToolConfigurationError(ValueError):
    """The configuration names an unknown tool."""


class ToolRegistry:
    """The enabled tools of all requests.

    Tools of MCP servers may change while it is open.
    """

    def __init__(
        self,
        config: ToolsConfig,
        *,
        excluded: Collection[str] = (),
        instances: Mapping[str, Tool[Any]] = MappingProxyType({}),
    ) -> None:
        """Create the enabled tools.

        Args:
            excluded: names of tools whose requirements are not met.
            instances: tools that were created by the caller, such as doubles.

        Raises:
            ToolConfigurationError: a name is unknown.
        """
        names = [name for name in dict.fromkeys(config.enabled) if name not in excluded]
        _check_names(names, config)
        self._tools: dict[str, Tool[Any]] = {
            name: _load_class(name)(config) for name in names if name in TOOLS
        }
        self._tools.update(instances)
        self._specs = {name: tool.spec() for name, tool in self._tools.items()}
        self._sources = _build_sources(names, config)

    def open(self) -> None:
        """Start connecting to MCP servers in the background; needs a running event loop."""
        for source in self._sources:
            source.open()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tools that can be called now."""
        return (*self._tools, *(name for source in self._sources for name in source.tools()))

    def find_unknown(self, names: Collection[str]) -> list[str]:
        """Return the names that no request can use.

        A server's name means all its tools. A tool of a server that was not reached yet counts as known.
        """
        source_names = {source.name for source in self._sources}
        return [
            name
            for name in names
            if name not in self._tools and name.partition(MCP_SEPARATOR)[0] not in source_names
        ]

    def specs(self, names: Collection[str] | None = None) -> tuple[ToolSpec, ...]:
        """Return the specifications for the model: of all tools, or of those in `names`."""
        builtin = (spec for name, spec in self._specs.items() if names is None or name in names)
        if not self._sources:
            return tuple(builtin)
        external = (
            tool.spec()
            for source in self._sources
            for name, tool in source.tools().items()
            if names is None or name in names or source.name in names
        )
        return (*builtin, *external)

    async def aclose(self) -> None:
        """Close all tools and sources."""
        await asyncio.gather(*(source.aclose() for source in self._sources))
        for tool in self._tools.values():
            await tool.aclose()

    async def run(
        self,
        call: ToolCall,
        names: Collection[str] | None = None,
        services: TurnServices = _NO_SERVICES,
    ) -> ToolResult:
        """Run one call; every failure becomes a result, only cancellation is raised.

        Args:
            names: the tools that the request allows, as in `specs`; all others do not exist for the model.
            services: what tools may use on behalf of the turn.
        """
        started = time.perf_counter()
        tool = self._find(call.name, names)
        error: str | None = None
        cost = _NO_COST
        try:
            if tool is None:
                raise self._unknown_tool(names)
            output = await self._run(tool, call, services)
            text, cost, untrusted = output.text, output.cost_usd, tool.untrusted
        except ToolError as failure:
            text, error, untrusted = str(failure), failure.kind, failure.untrusted
        content, truncated = truncate(text)
        duration_ms = (time.perf_counter() - started) * 1000
        return ToolResult(
            error is None,
            content,
            duration_ms,
            untrusted=untrusted,
            truncated=truncated,
            error=error,
            cost_usd=cost,
        )

    def _find(self, name: str, names: Collection[str] | None) -> Tool[Any] | None:
        if (tool := self._tools.get(name)) is not None:
            return tool if names is None or name in names else None
        for source in self._sources:
            if (tool := source.tools().get(name)) is not None:
                return tool if names is None or name in names or source.name in names else None
        return None

    def _unknown_tool(self, names: Collection[str] | None) -> ToolError:
        available = [spec.name for spec in self.specs(names)]
        listed = ", ".join(available[:_MAX_LISTED]) or "none"
        return ToolError(f"There is no such tool. Available: {listed}.", kind="unknown_tool")

    async def _run(self, tool: Tool[Any], call: ToolCall, services: TurnServices) -> ToolOutput:
        arguments = parse_arguments(tool, call.arguments)
        try:
            async with asyncio.timeout(tool.timeout_seconds):
                if isinstance(tool, TurnTool):
                    return await tool.run_in_turn(arguments, services)
                return ToolOutput(str(await tool.run(arguments)), _NO_COST)
        except TimeoutError:
            raise ToolError(
                f"The tool {tool.name} did not finish within {tool.timeout_seconds:g} seconds; ask for less.",
                kind="timeout",
            ) from None
        except ToolError:
            raise
        except Exception as error:
            # A defect in a tool must not end the turn.
            log.error("tool.crashed", tool=tool.name, error=type(error).__name__)
            raise ToolError(f"The tool {tool.name} failed; go on without it.", kind="crashed") from error


def _check_names(names: list[str], config: ToolsConfig) -> None:
    known = [*TOOLS, *config.mcp]
    unknown = [
        name for name in names if name not in TOOLS and name.partition(MCP_SEPARATOR)[0] not in config.mcp
    ]
    if unknown:
        raise ToolConfigurationError(
            f"tools.enabled contains unknown tools: {', '.join(map(repr, unknown))}. "
            f"Available: {', '.join(sorted(known))}."
        )
    if duplicates := [name for name in config.mcp if name in TOOLS]:
        raise ToolConfigurationError(
            f"tools.mcp: {duplicates[0]!r} is the name of a built-in tool. Rename the server."
        )


def _build_sources(names: list[str], config: ToolsConfig) -> tuple[ToolSource, ...]:
    """Create a source for each MCP server that is enabled, completely or by single tools."""
    if not config.mcp:
        return ()
    from gateway.tools.mcp.server import McpServer  # half a second of imports, only needed with a server

    sources: list[ToolSource] = []
    for name, server in config.mcp.items():
        selected = frozenset(n for n in names if n.startswith(name + MCP_SEPARATOR))
        if name in names:
            sources.append(McpServer(name, server))
        elif selected:
            sources.append(McpServer(name, server, enabled_names=selected))
    return tuple(sources)


def _load_class(name: str) -> type[Tool[Any]]:
    module, attribute = TOOLS[name]
    tool: type[Tool[Any]] = getattr(import_module(module), attribute)
    return tool


def parse_arguments(tool: Tool[Any], text: str) -> ToolArguments:
    """Validate the JSON arguments of a call.

    Raises ToolError with a message for the model.
    """
    if len(text) > MAX_ARGUMENT_CHARACTERS:
        raise _invalid_arguments(f"The arguments are longer than {MAX_ARGUMENT_CHARACTERS} characters.")
    try:
        # Models often send empty text if there are no arguments.
        values = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise _invalid_arguments("The arguments are not valid JSON; send one JSON object.") from None
    if not isinstance(values, dict):
        raise _invalid_arguments("The arguments must be one JSON object.")
    try:
        arguments: ToolArguments = tool.arguments.model_validate(values)
    except ValidationError as error:
        raise _invalid_arguments(
            f"The arguments do not fit {tool.name}: {_describe_errors(error)}."
        ) from None
    return arguments


def _invalid_arguments(sentence: str) -> ToolError:
    return ToolError(sentence, kind="bad_arguments")


def _describe_errors(error: ValidationError) -> str:
    """Describe up to three validation errors by field, without the invalid values."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}"[:200] for e in details[:3])
