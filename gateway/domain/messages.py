"""What is said in a chat, free of any vendor's and any client's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Fields of an answer that only clients read; no vendor takes them back.
CLIENT_FIELDS = frozenset({"annotations", "citations", "images", "search_results", "videos"})
Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text; `extra` holds further fields of OpenAI's part, such as `cache_control`."""

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
    """A file or a sound, as OpenAI's API has it in `fields`; only providers that speak it take it.

    `path` is where the client wrote it, for a refusal that names it.
    """

    type: str
    fields: Mapping[str, Any] = field(hash=False)
    path: str = field(default="", compare=False)

    @property
    def size(self) -> int:
        """Characters of its longest text: its content in base64, or a name of it."""
        inner = self.fields.get(self.type)
        values = inner.values() if isinstance(inner, Mapping) else ()
        return max((len(value) for value in values if isinstance(value, str)), default=0)


Content = str | tuple[TextPart | ImagePart | RawPart, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run a tool; `arguments` is the JSON text as the model wrote it.

    `extra` holds further fields of OpenAI's tool call, such as `extra_content`; `function` in it those of the
    call's function.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


def tool_call_json(extra: Mapping[str, Any], function: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of OpenAI's tool call: those in `extra`, and `function` with its further ones."""
    more = extra.get("function")
    return {**extra, "function": {**(more if isinstance(more, Mapping) else {}), **function}}


@dataclass(frozen=True, slots=True)
class VendorData:
    """What a vendor wants back with a message that it wrote (decision 36); nothing else reads it.

    `type`, `provider` and `model` name its origin: a provider type, the configured provider, the vendor's
    name of the model. They are empty where a client sent the fields. `fields` are further fields of OpenAI's
    message: clients see them and send them back. `content` is the whole message in the vendor's own format;
    it stays inside the gateway.
    """

    type: str = ""
    provider: str = ""
    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    content: list[Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `tool_calls` only on `assistant`, `tool_call_id` only on `tool`.

    `vendor` is what the vendor of an `assistant` message wants back with it, or what a client sent beside the
    fields that the gateway knows.
    """

    role: Role
    content: Content = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    vendor: VendorData | None = None

    @property
    def text(self) -> str:
        """The text of the message; images are left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def raw_parts(self) -> tuple[RawPart, ...]:
        """The files and sounds of the message."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, RawPart))

    @property
    def has_images(self) -> bool:
        return not isinstance(self.content, str) and any(isinstance(p, ImagePart) for p in self.content)


def merge_system_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with those that a system begins with joined into one.

    Several servers' chat templates take a system message in the first place only.
    """
    first = next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))
    if first < 2:
        return messages
    text = "\n\n".join(filter(None, (m.text for m in messages[:first])))
    return (Message("system", text), *messages[first:])
