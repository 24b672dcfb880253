"""Makes a provider's error message safe: removes secrets and text of the request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gateway.core.exceptions import GatewayError, UpstreamRejected
from gateway.core.logging.redaction import MASK, redact
from gateway.domain.config.providers import ProviderConfig
from gateway.domain.messages import Message, TextPart

MAX_REASON = 300
# Longer words are data rather than words, and always masked.
_MAX_WORD_CHARACTERS = 48
# The message is truncated before the search, to limit its cost.
_MAX_SEARCHED_CHARACTERS = 1200
# With more input than this, the message is dropped instead of searched.
_MAX_INPUT_CHARACTERS = 4 * 1024 * 1024
_MIN_SECRET_CHARACTERS = 6
_WORD = re.compile(r"[^\W_]+(?:[-_.@][^\W_]+)*")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>]{1,256}")
_ACCOUNT_ID = re.compile(r"\b(?:org|proj|acct|user|key|req|tenant)[-_][A-Za-z0-9]{6,}")
_WHITESPACE = re.compile(r"\s+")
# Words of the input are masked if they are this long, or shorter with a digit.
_LONG_WORD, _SHORT_WORD = 8, 4
# A sequence of this many words that occurs in the input is masked, however short the words are.
_ECHO_RUN_WORDS = 3


def sanitize_error(error: GatewayError, config: ProviderConfig, inputs: Iterable[str]) -> None:
    """Redact the provider's message in `error`.

    A rejected request also shows it to the caller.

    Args:
        config: the provider's configuration, for its secrets.
        inputs: the texts of the request.
    """
    reply = error.upstream_reply
    if reply is None:
        return
    reason = redact_reason(reply.reason, list(provider_secrets(config)), list(inputs))
    error.upstream_reply = replace(reply, reason=reason)
    if isinstance(error, UpstreamRejected):
        error.param = error.param or reply.param
        if reason:
            error.message = f"{error.default_message} It says: {reason}"


def status_and_reason(error: GatewayError) -> tuple[int | None, str]:
    """Return the provider's HTTP status, if any, and its message, else the error's own."""
    reply = error.upstream_reply
    if reply is None:
        return None, error.message
    return reply.status, reply.reason or error.message


def redact_reason(text: str, secrets: Sequence[str], inputs: Sequence[str]) -> str:
    """Return at most 300 characters of `text` as one line, without secrets, URLs, account ids and input."""
    if not text or sum(map(len, inputs)) > _MAX_INPUT_CHARACTERS:
        return ""
    text = text[:_MAX_SEARCHED_CHARACTERS]
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = _ACCOUNT_ID.sub(MASK, _URL.sub(MASK, redact(text)))
    text = _WHITESPACE.sub(" ", _mask_echoed_input(text, inputs)).strip()
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1].rstrip() + "…"


def iter_texts(messages: Iterable[Message]) -> Iterator[str]:
    """Yield the texts of messages and the arguments of their tool calls."""
    for message in messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content if isinstance(part, TextPart))
        yield from (call.arguments for call in message.tool_calls)


def provider_secrets(config: ProviderConfig) -> Iterator[str]:
    """Yield the provider's key and the values of its configured headers."""
    values = [config.api_key]
    for option in ("headers", "default_headers"):
        headers = config.options.get(option)
        values += headers.values() if isinstance(headers, dict) else ()
    return (str(value) for value in values if value and len(str(value)) >= _MIN_SECRET_CHARACTERS)


def _mask_echoed_input(text: str, inputs: Sequence[str]) -> str:
    words = list(_WORD.finditer(text))
    masked = [_is_echo(match.group(), inputs) for match in words]
    for first in range(len(words) - _ECHO_RUN_WORDS + 1):
        run = words[first : first + _ECHO_RUN_WORDS]
        if any(text[run[0].start() : run[-1].end()] in input_text for input_text in inputs):
            masked[first : first + _ECHO_RUN_WORDS] = [True] * _ECHO_RUN_WORDS
    pieces: list[str] = []
    position = 0
    for match, mask in zip(words, masked, strict=True):
        pieces.append(text[position : match.start()])
        if not mask:
            pieces.append(match.group())
        elif not pieces or not pieces[-1].isspace() or len(pieces) < 2 or pieces[-2] != MASK:
            pieces.append(MASK)
        else:
            pieces.pop()  # one mask for several adjacent words
        position = match.end()
    return "".join([*pieces, text[position:]])


def _is_echo(word: str, inputs: Sequence[str]) -> bool:
    if len(word) > _MAX_WORD_CHARACTERS:
        return True
    distinctive = (
        len(word) >= _LONG_WORD
        or (len(word) >= _SHORT_WORD and any(character.isdigit() for character in word))
        or (len(word) > 1 and not word.isascii())
    )
    return distinctive and any(word in input_text for input_text in inputs)
