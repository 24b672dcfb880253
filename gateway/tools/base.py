"""A tool of the gateway's own: a name, a schema for its arguments, and one coroutine."""

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
    """Base of a tool's arguments: unknown fields are refused, so that a model learns of its slip."""

    model_config = ConfigDict(extra="forbid")


Arguments = TypeVar("Arguments", bound=ToolArguments)


class ToolError(Exception):
    """A tool could not do what was asked; the message goes to the model, so it says what to do instead.

    `kind` is a word for the receipt. `outside` says that the message holds words of somebody else's: it is
    then as untrusted as a result.
    """

    def __init__(self, message: str, *, kind: str = "failed", untrusted: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.untrusted = untrusted


class Tool(ABC, Generic[Arguments]):
    """One capability that a model may call.

    `description` is written for the model. `timeout_seconds` caps one run; the caller cancels it then.
    `untrusted` results come from outside (a page, another server): a guard reads them before a model does,
    and the model gets them in an envelope. The tool itself returns plain text.
    """

    name: str
    description: str
    timeout_seconds: float = 10.0
    untrusted: bool = False
    arguments: type[Arguments]

    def __init__(self, config: ToolsConfig) -> None:
        """Take what the tool needs of the configuration's `tools` section; opens nothing."""

    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self.arguments.model_json_schema())

    @abstractmethod
    async def run(self, arguments: Arguments) -> str:
        """Do it; returns text for the model, or raises `ToolError` with a sentence for it."""

    async def aclose(self) -> None:
        """Let go of what runs have opened."""
        return


@dataclass(frozen=True, slots=True)
class TurnServices:
    """What a tool may have done on the account of the turn it is called in; None where it may not.

    `account` is who the turn belongs to: what all share is given to the accounts in turn.
    """

    account: str = ""
    generate_image: GenerateImage | None = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool that costs something returns: text for the model, and US dollars for the receipt."""

    text: str
    cost_usd: Decimal


class TurnTool(Tool[Arguments]):
    """A tool that acts for the account of its turn, and is charged to it."""

    async def run(self, arguments: Arguments) -> str:
        """Refuses: without a turn there is nobody to act for."""
        raise ToolError("This tool works in a conversation only.", kind="unavailable")

    @abstractmethod
    async def run_in_turn(self, arguments: Arguments, services: TurnServices) -> ToolOutput:
        """As `Tool.run`, with what the turn's account may have done."""


class ToolSource(ABC):
    """Tools that are known only while the gateway runs, such as another server's; named by `name__tool`."""

    name: str

    @abstractmethod
    def tools(self) -> Mapping[str, Tool[Any]]:
        """Those known now, by the name that a model calls; the same object until something changes."""

    def open(self) -> None:
        """Begin to look for tools, in the background; nothing waits for it, and nothing fails with it."""
        return

    async def aclose(self) -> None:
        """Let go of everything that was opened."""
        return
