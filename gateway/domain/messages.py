"""Chat messages, independent of any vendor's and any client's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Fields of an answer for clients only; no vendor accepts them in a request.
CLIENT_FIELDS = frozenset({"annotations", "citations", "images", "search_results", "videos"})
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text; `extra` holds further fields of OpenAI's part, such as `cache_control`."""

    text: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a question; `url` is `https:` or `data:image/...;base64,...`."""

    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class RawPart:
    """A file or audio part in OpenAI's format, for the providers that accept it.

    `path` is its place in the client's request, for error messages.
    """

    type: str
    fields: Mapping[str, Any] = field(hash=False)
    path: str = field(default="", compare=False)

    @property
    def size(self) -> int:
        """Characters of its longest text, usually the base64 content."""
        inner = self.fields.get(self.type)
        values = inner.values() if isinstance(inner, Mapping) else ()
        return max((len(value) for value in values if isinstance(value, str)), default=0)


Content = str | tuple[TextPart | ImagePart | RawPart, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's request to run a tool.

    `arguments` is the JSON text as the model wrote it.

    `extra` holds further fields of OpenAI's tool call, such as `extra_content`; its `function` holds those of
    the call's function.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def tool_call_json(extra: Mapping[str, Any], function: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's tool call: the fields in `extra`, and `function` merged with its further fields."""
    more = extra.get("function")
    return {**extra, "function": {**(more if isinstance(more, Mapping) else {}), **function}}


@dataclass(frozen=True, slots=True)
class VendorData:
    """What a vendor requires back with a message that it generated (decision 36).

    Opaque to the gateway.

    `type`, `provider` and `model` are its origin: the provider type, the configured provider, the vendor's
    name of the model. They are empty if a client sent the fields. `fields` are further fields of OpenAI's
    message, which clients see and send back. `content` is the complete message in the vendor's own format,
    which never leaves the gateway.
    """

    type: str = ""
    provider: str = ""
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    content: list[Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `tool_calls` only on `assistant`, `tool_call_id` only on `tool`.

    `vendor` is what the vendor of an `assistant` message requires back with it, or further fields that a
    client sent.
    """

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    vendor: VendorData | None = None

    @property
    def text(self) -> str:
        """The text parts of the message, joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def raw_parts(self) -> tuple[RawPart, ...]:
        """The file and audio parts of the message."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, RawPart))

    @property
    def has_images(self) -> bool:
        return not isinstance(self.content, str) and any(isinstance(p, ImagePart) for p in self.content)


def merge_system_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with all leading system messages joined into one.

    The chat templates of several servers accept a system message only in the first place.
    """
    first = next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))
    if first < 2:
        return messages
    text = "\n\n".join(filter(None, (m.text for m in messages[:first])))
    return (Message("system", text), *messages[first:])
