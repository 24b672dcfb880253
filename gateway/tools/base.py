"""Base classes of tools: a name, a schema for the arguments, and one coroutine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.images import GenerateImage
from gateway.domain.requests import ToolSpec


class ToolArguments(BaseModel):
    """Base class of tool arguments.

    Unknown fields are an error, so that the model can correct the call.
    """

    model_config = ConfigDict(extra="forbid")


Arguments = TypeVar("Arguments", bound=ToolArguments)


class ToolError(Exception):
    """A tool call failed; the message goes to the model and says what to do instead.

    `kind` is a short code for records. `untrusted` means that the message contains text of a third party and
    is guarded like an untrusted result.
    """

    def __init__(self, message: str, *, kind: str = "failed", untrusted: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.untrusted = untrusted


class Tool(ABC, Generic[Arguments]):
    """A function that a model can call.

    `description` is written for the model. A run is cancelled after `timeout_seconds`. `untrusted` results
    come from third parties (a web page, another server): they are checked by a guardrail and marked as
    untrusted for the model. The tool itself returns plain text.
    """

    name: str
    description: str
    timeout_seconds: float = 10.0
    untrusted: bool = False
    arguments: type[Arguments]

    def __init__(self, config: ToolsConfig) -> None:
        """Read the tool's settings; opens no connections."""

    def spec(self) -> ToolSpec:
        """Return the name, description and argument schema for the model."""
        return ToolSpec(self.name, self.description, self.arguments.model_json_schema())

    @abstractmethod
    async def run(self, arguments: Arguments) -> str:
        """Run the tool and return text for the model.

        Raises:
            ToolError: it failed; the message is for the model.
        """

    async def aclose(self) -> None:
        """Close what runs have opened."""
        return


@dataclass(frozen=True, slots=True)
class TurnServices:
    """Services that a tool may use on behalf of its turn; None if it may not.

    `account` identifies the turn's account, among which shared resources are divided fairly.
    """

    account: str = ""
    generate_image: GenerateImage | None = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The output of a tool run: text for the model, and its cost in US dollars."""

    text: str
    cost_usd: Decimal


class TurnTool(Tool[Arguments]):
    """A tool that acts on behalf of the turn's account, which pays for it."""

    async def run(self, arguments: Arguments) -> str:
        """Raise ToolError: this tool needs a turn."""
        raise ToolError("This tool works only within a turn.", kind="unavailable")

    @abstractmethod
    async def run_in_turn(self, arguments: Arguments, services: TurnServices) -> ToolOutput:
        """Run the tool with the services of the turn; see `Tool.run`."""


class ToolSource(ABC):
    """Tools that are discovered at run time, such as those of an MCP server.

    Their names are `name__tool`.
    """

    name: str

    @abstractmethod
    def tools(self) -> Mapping[str, Tool[Any]]:
        """Return the currently known tools by name; the same object until they change."""

    def open(self) -> None:
        """Start discovery in the background; its failures are not reported."""
        return

    async def aclose(self) -> None:
        """Close everything that was opened."""
        return
