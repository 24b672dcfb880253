"""Tools and their limits."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.domain.config.base import ConfigModel
from gateway.domain.config.code_tool import CodeConfig
from gateway.domain.config.web_tools import FetchConfig, WebSearchConfig

MCP_SEPARATOR = "__"
_SERVER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SERVER_NAME = 32


def _server_name(name: str) -> str:
    if len(name) > _LONGEST_SERVER_NAME or not _SERVER_NAME.fullmatch(name):
        raise ValueError(
            f"a server's name is up to {_LONGEST_SERVER_NAME} letters, digits, - and single _, "
            "and begins with a letter"
        )
    return name


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("this is not a valid name of an environment variable")
    return name


class McpServerConfig(ConfigModel):
    """An MCP server: `command` with `args` and `env`, or `url` with `headers`.

    Apart from `env` the command gets only PATH. `tools` lists the names it may offer (default: all).
    `timeout_seconds` limits a call.
    """

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[Annotated[str, AfterValidator(_variable)], str] = Field(default_factory=dict)
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    tools: tuple[str, ...] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if not self.command and not self.url:
            raise ValueError("a server has either a command (stdio) or a url (HTTP)")
        if self.command and self.url:
            raise ValueError("a server has a command (stdio) or a url (HTTP), not both")
        if (self.url and (self.args or self.env)) or (self.command and self.headers):
            raise ValueError("args and env belong to a command, headers to a url")
        return self


class ToolsConfig(ConfigModel):
    """Enabled tools and the limits of a turn.

    `max_rounds` limits rounds of model and tools, `turn_seconds` the time of all tools, `turn_bytes` the size
    of all results. `enabled` lists tools, MCP servers (with all tools) and single MCP tools (`server__tool`);
    servers that are not listed are not connected.
    """

    enabled: tuple[str, ...] = ("calculator", "current_time")
    max_rounds: Annotated[int, Field(ge=0, le=64)] = 8
    turn_seconds: Annotated[float, Field(gt=0)] = 120
    web_search: WebSearchConfig = WebSearchConfig()
    fetch: FetchConfig = FetchConfig()
    turn_bytes: Annotated[int, Field(ge=1024)] = 128 * 1024
    mcp: dict[Annotated[str, AfterValidator(_server_name)], McpServerConfig] = Field(default_factory=dict)
    code: CodeConfig = CodeConfig()
