"""What is said in a chat, free of any vendor's and any client's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a question; `url` is `https:` or `data:image/...;base64,...`."""

    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"


Content = str | tuple[TextPart | ImagePart, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run a tool; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `tool_calls` only on `assistant`, `tool_call_id` only on `tool`."""

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The text of the message; images are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def has_images(self) -> bool:
        return not isinstance(self.content, str) and any(isinstance(p, ImagePart) for p in self.content)


def one_system_prompt(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with those that a system begins with joined into one.

    Several servers' chat templates take a system message in the first place only.
    """
    first = next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))
    if first < 2:
        return messages
    text = "\n\n".join(filter(None, (m.text for m in messages[:first])))
    return (Message("system", text), *messages[first:])
