"""Reorders the messages of a Responses input as chat completions require."""

from __future__ import annotations

from dataclasses import replace

from gateway.dialects.openai.responses.reasoning import reasoning_vendor_data
from gateway.domain.messages import Message, ToolCall


class MessageBuilder:
    """Builds the message list.

    Responses accept calls and outputs in any order. Chat completions need all calls of a round in one
    message, followed by their outputs.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._outputs: dict[int, list[Message]] = {}
        # By call id: the index of its message, and its name.
        self._call_positions: dict[str, tuple[int, str]] = {}

    @property
    def messages(self) -> tuple[Message, ...]:
        """Return all messages, each output after its call.

        An output without a call keeps its position.
        """
        ordered: list[Message] = []
        for index, message in enumerate(self._messages):
            ordered.append(message)
            ordered += self._outputs.get(index, ())
        return tuple(ordered)

    def add_message(self, message: Message) -> None:
        """Add a message; assistant text before outputs joins the message of their calls."""
        last = self._open_round
        if message.role != "assistant" or last is None or not last.tool_calls or not message.text:
            self._messages.append(message)
            return
        text = "\n\n".join(filter(None, (last.text, message.text)))
        self._messages[-1] = replace(last, content=text)

    def add_call(self, call: ToolCall, reasoning: str) -> None:
        """Add a call with the reasoning before it to the open round, or start a new one."""
        last = self._open_round
        if last is None:
            last = Message("assistant")
            self._messages.append(last)
        vendor = last.vendor or reasoning_vendor_data(reasoning)
        self._messages[-1] = replace(last, tool_calls=(*last.tool_calls, call), vendor=vendor)
        self._call_positions[call.id] = (len(self._messages) - 1, call.name)

    def add_output(self, output: Message) -> None:
        """Add a tool output."""
        index, name = self._call_positions.get(output.tool_call_id or "", (None, None))
        if index is None:
            self._messages.append(output)
        else:
            self._outputs.setdefault(index, []).append(replace(output, name=name))

    @property
    def _open_round(self) -> Message | None:
        """Return the last message if it is the assistant's and has no outputs yet."""
        last_index = len(self._messages) - 1
        if last_index < 0 or last_index in self._outputs or self._messages[last_index].role != "assistant":
            return None
        return self._messages[last_index]
