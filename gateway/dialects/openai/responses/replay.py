"""Replays a stored response as a stream, also while it is in progress."""

from __future__ import annotations

from gateway.core.exceptions import GatewayError
from gateway.dialects.openai.client_tools import client_tools
from gateway.dialects.openai.responses.output import DEFAULT_PARAMETERS, from_stored
from gateway.dialects.openai.responses.stream import ResponsesEncoder
from gateway.domain.conversations.models import StoredMessage
from gateway.domain.conversations.stored_messages import calls_from_storage
from gateway.domain.events import ChatEvent, TextDelta, TextReplaced, ToolCallDelta, TurnFailed
from gateway.services.chat.stored_responses import StoredResponse


class ResponseReplay:
    """Encodes a turn's events.

    Events that are no longer stored are replaced from the stored message.
    """

    def __init__(self, response: StoredResponse) -> None:
        parameters = response.parameters or DEFAULT_PARAMETERS
        self._question = response.question
        self._encoder = ResponsesEncoder(
            response.answer.id,
            parameters,
            tools=bool(client_tools(parameters.get("tools") or ()).tools),
            created=response.answer.created_at.timestamp(),
            model=response.answer.model or "",
        )
        self._sent_text = ""
        self._sent_calls: set[int] = set()

    def encode(self, event: ChatEvent | StoredMessage) -> bytes:
        """Encode an event; the stored message is the last event of a turn that has ended."""
        match event:
            case StoredMessage():
                return self._finish(event)
            case TextReplaced(text=text):
                return self._catch_up(text)
            case TextDelta(text=text):
                self._sent_text += text
            case ToolCallDelta(index=index):
                self._sent_calls.add(index)
        return self._encoder.encode(event) or b""

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        """Encode an error that ends the stream."""
        return self._encoder.encode(TurnFailed(error, request_id)) or b""

    def _catch_up(self, text: str) -> bytes:
        """Encode the text that is missing up to `text`."""
        missing = text[len(self._sent_text) :] if text.startswith(self._sent_text) else ""
        if not missing:
            return b""
        self._sent_text = text
        return self._encoder.encode(TextDelta(missing)) or b""

    def _finish(self, message: StoredMessage) -> bytes:
        frames = self._catch_up(message.content)
        for index, call in enumerate(calls_from_storage(message.tool_calls)):
            if index not in self._sent_calls:
                delta = ToolCallDelta(index, call.id, call.name, call.arguments)
                frames += self._encoder.encode(delta) or b""
        return frames + self._encoder.finish(from_stored(message, self._question))
