"""The messages of a Responses input, in the order that chat completions want."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.openai.thoughts import as_vendor_data
from gateway.domain.messages import Message, ToolCall


class History:
    """Messages in the making.

    Responses take calls and outputs in any order. Chat completions want all calls of a round in one message,
    and their outputs right behind it.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._outputs: dict[int, list[Message]] = {}
        # By the id of a call: the place of its message, and its name.
        self._calls: dict[str, tuple[int, str]] = {}

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, each output behind its call; an output without a call stays where it was."""
        found: list[Message] = []
        for at, message in enumerate(self._messages):
            found.append(message)
            found += self._outputs.get(at, ())
        return tuple(found)

    def say(self, message: Message) -> None:
        """Add a message; an assistant's text between calls and their outputs joins the calls' message."""
        last = self._open
        if message.role != "assistant" or last is None or not last.tool_calls or not message.text:
            self._messages.append(message)
            return
        text = "\n\n".join(filter(None, (last.text, message.text)))
        self._messages[-1] = replace(last, content=text)

    def call(self, call: ToolCall, thoughts: str) -> None:
        """Add a call, with the thoughts that led to it, to the round under way or to a new one."""
        last = self._open
        if last is None:
            last = Message("assistant")
            self._messages.append(last)
        vendor = last.vendor or as_vendor_data(thoughts)
        self._messages[-1] = replace(last, tool_calls=(*last.tool_calls, call), vendor=vendor)
        self._calls[call.id] = (len(self._messages) - 1, call.name)

    def result(self, output: Message) -> None:
        """Add an output."""
        at, name = self._calls.get(output.tool_call_id or "", (None, None))
        if at is None:
            self._messages.append(output)
        else:
            self._outputs.setdefault(at, []).append(replace(output, name=name))

    @property
    def _open(self) -> Message | None:
        """The assistant's message that the input has last, where it has no outputs as yet."""
        at = len(self._messages) - 1
        if at < 0 or at in self._outputs or self._messages[at].role != "assistant":
            return None
        return self._messages[at]
