"""Tools of configured MCP servers, named `server__tool`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import structlog
from mcp import ClientSession, types
from pydantic import ConfigDict

from gateway.domain.config.tools import MCP_SEPARATOR, McpServerConfig
from gateway.domain.requests import ToolSpec
from gateway.tools.base import Tool, ToolArguments, ToolError, ToolSource
from gateway.tools.mcp.session import McpSession

log = structlog.get_logger(__name__)

MAX_NAME_CHARACTERS = 64
MAX_TOOLS = 128
_MAX_PAGES = 20
_MAX_DESCRIPTION_CHARACTERS = 2048
_MAX_SCHEMA_CHARACTERS = 16 * 1024
_INVALID_NAME_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff]")


class McpArguments(ToolArguments):
    """Any JSON object; the server validates it against its own schema."""

    model_config = ConfigDict(extra="allow")


class McpTool(Tool[McpArguments]):
    """One tool of a server; its results are untrusted."""

    untrusted = True
    arguments = McpArguments

    def __init__(self, session: McpSession, server: McpServerConfig, name: str, tool: types.Tool) -> None:
        self.name = name
        self.description = _CONTROL.sub("", tool.description or tool.title or "")[
            :_MAX_DESCRIPTION_CHARACTERS
        ]
        # The session's own timeouts (waiting for a reconnect) are shorter.
        self.timeout_seconds = server.timeout_seconds
        self._session = session
        self._remote_name = tool.name
        self._spec = ToolSpec(name, self.description, {"type": "object", **tool.inputSchema})

    def spec(self) -> ToolSpec:
        return self._spec

    async def run(self, arguments: McpArguments) -> str:
        result = await self._session.call(self._remote_name, arguments.model_extra or {})
        text = result_text(result)
        if result.isError:
            raise ToolError(text or "The tool failed without giving a reason.", untrusted=True)
        return text or "Done; the tool returned no text."


class McpServer(ToolSource):
    """A configured server.

    Its last known tools remain listed while it is unreachable.
    """

    def __init__(
        self, name: str, config: McpServerConfig, enabled_names: frozenset[str] | None = None
    ) -> None:
        """Create the source.

        `enabled_names` limits the tools by the gateway's names (None: all).
        """
        self.name = name
        self._config = config
        self._enabled_names = enabled_names
        self._tools: Mapping[str, McpTool] = {}
        self._session = McpSession(name, config, self._discover)

    def tools(self) -> Mapping[str, Tool[Any]]:
        return self._tools

    def open(self) -> None:
        self._session.open()

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _discover(self, session: ClientSession) -> None:
        offered = await _list_tools(session)
        found: dict[str, McpTool] = {}
        for tool in offered:
            if self._config.tools is not None and tool.name not in self._config.tools:
                continue
            if not _is_usable(tool):
                log.warning("mcp.tool_skipped", server=self.name)
                continue
            name = tool_name(self.name, tool.name, taken=found)
            if self._enabled_names is None or name in self._enabled_names:
                found[name] = McpTool(self._session, self._config, name, tool)
        if {n: t.spec() for n, t in found.items()} != {n: t.spec() for n, t in self._tools.items()}:
            log.info("mcp.tools_discovered", server=self.name, count=len(found))
            self._tools = found


async def _list_tools(session: ClientSession) -> list[types.Tool]:
    """Return the tools of a server, page by page, at most `MAX_TOOLS`."""
    offered: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        offered += page.tools
        cursor = page.nextCursor
        if not cursor or len(offered) >= MAX_TOOLS:
            break
    return offered[:MAX_TOOLS]


def _is_usable(tool: types.Tool) -> bool:
    """Whether a tool can be offered to a model.

    It has a name and a small object schema.
    """
    try:
        size = len(json.dumps(tool.inputSchema, allow_nan=False))
    except (ValueError, RecursionError):
        return False
    return (
        bool(tool.name)
        and tool.inputSchema.get("type", "object") == "object"
        and size <= _MAX_SCHEMA_CHARACTERS
    )


def tool_name(server: str, tool: str, *, taken: Mapping[str, object]) -> str:
    """Return a function name that vendors accept.

    It has a digest if it would be too long or is already taken.
    """
    name = f"{server}{MCP_SEPARATOR}{_INVALID_NAME_CHARACTER.sub('_', tool)}"
    if len(name) <= MAX_NAME_CHARACTERS and name not in taken:
        return name
    digest = hashlib.sha256(tool.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: MAX_NAME_CHARACTERS - 9]}_{digest}"


def result_text(result: types.CallToolResult) -> str:
    """Join the text parts of a result; other parts are replaced by a note."""
    parts = [_block_text(block) for block in result.content]
    if not parts and result.structuredContent:
        return json.dumps(result.structuredContent, ensure_ascii=False)
    return "\n".join(parts)


def _block_text(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case types.ImageContent() | types.AudioContent():
            return f"[{block.type} ({_CONTROL.sub('', block.mimeType)[:80]}), left out]"
        case types.ResourceLink():
            return f"[link to the resource {_CONTROL.sub('', block.name)[:200]}, left out]"
        case _:
            return "[binary resource, left out]"
