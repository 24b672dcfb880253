"""Classify a provider's error response: whose fault it is, and whether another model may answer instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamReply,
    UpstreamTooLarge,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)

MAX_RETRY_AFTER = 3600.0
_MAX_WORDS = 4096
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")

# Statuses by themselves. Every other 4xx is a fault of the configuration or of the provider: no caller of the
# gateway chooses the method, the path, the host or the headers.
_LIMITED = frozenset({429})
_OPERATOR = frozenset({401, 402, 403, 407, 451})
_TRANSIENT = frozenset({408, 409, 423, 425, 498, 499})
# What is wrong with these is only in the body.
_OF_THE_REQUEST = frozenset({400, 413, 422})


def _any_of(*phrases: str) -> Callable[[str], bool]:
    return lambda text: any(phrase in text for phrase in phrases)


# Codes and phrases of vendors' public documentation and bug reports, in lower case.
_SAYS_LIMITED = _any_of(
    "rate_limit_exceeded", "rate_limit_error", "rate limit reached", "rate limit exceeded",
    "tokens per minute", "requests per minute", "tokens per day",
    "requests per day", "too many requests", "throttling", "resource_exhausted",
)  # fmt: skip
_SAYS_NO_MONEY = _any_of(
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit balance is too low",
    "insufficient balance", "insufficient_balance", "insufficient credit", "insufficient funds",
    "not enough credit", "api usage limits", "arrearage", "accountoverdue", "account is in arrears",
    "payment required", "spending limit", "check your plan and billing", "requires billing",
    "exceeded_current_quota_error", "please recharge",
)  # fmt: skip
# What makes a 429 last: no wait helps an account without money.
_LASTING_LIMIT = _any_of(
    "insufficient_quota", "exceeded_current_quota_error", "insufficient balance", "arrearage",
    "credit balance is too low",
)  # fmt: skip
_SAYS_NOT_WELCOME = _any_of(
    "api_key_invalid", "api key not valid", "api key expired", "invalid api key", "incorrect api key",
    "invalid_api_key", "user location is not supported", "unsupported_country_region_territory",
    "country, region, or territory not supported", "not available in your country",
    "not available in your region", "failed_precondition", "organization has been disabled",
    "account is not active", "account has been disabled", "account_deactivated", "access_terminated",
)  # fmt: skip
_SAYS_NO_MODEL = _any_of(
    "model_not_found", "model not found", "model not exist", "model_not_exist", "model_decommissioned",
    "has been decommissioned", "has been deprecated", "invalid model name", "not a valid model",
    "unknown model", "unknown_model", "model_not_supported", "unsupported model", "no endpoints found",
    "model is not supported", "is not a chat model", "deploymentnotfound",
)  # fmt: skip
_NO_SUCH_MODEL = re.compile(
    r"\bmodel\b.{0,160}\b(?:does not exist|doesn't exist|was not found|is not found)\b"
)
_SAYS_BUSY = _any_of("overloaded", "server is busy", "engine_overloaded", "over capacity", "at capacity")
_SAYS_TOO_LONG = _any_of(
    # OpenAI, Azure, Groq, DeepSeek, OpenRouter, vLLM, Fireworks, SGLang, Together, LiteLLM
    "context_length_exceeded", "maximum context length", "maximum model length",
    "context window of this model",
    "exceeds the context window", "longer than the model's context length", "input tokens exceed",
    "contextwindowexceeded", "context length exceeded",
    # Anthropic, Bedrock, Replicate, Perplexity, Cohere
    "prompt is too long", "prompt too long", "exceed context limit", "input is too long",
    "too many input tokens", "too many tokens", "length of all messages is too long",
    # Gemini, xAI, Kimi, MiniMax, Mistral, Zhipu, DashScope, GitHub
    "exceeds the maximum number of tokens", "maximum prompt length", "exceeded model token limit",
    "context window exceeds limit", "too large for model", "prompt exceeds max length", "prompt 超长",
    "range of input length should be", "tokens_limit_reached", "model_context_window_exceeded",
    "maximum allowed input length", "number of input tokens exceeds", "cannot exceed the total tokens limit",
    "exceeded this model context window", "context length is only",
    # llama.cpp, LM Studio, Ollama, TGI
    "exceed_context_size", "available context size", "context size has been exceeded",
    "greater than the context length", "reached context length", "input length exceeds",
    "exceeds the context length", "exceeds the model's context", "exceeds model's maximum context",
    "`inputs` tokens + `max_new_tokens`", "configured context size",
)  # fmt: skip
_TOO_LONG = re.compile(
    r"prompt (?:token count|has) \S{0,8} ?\d+.{0,80}(?:exceeds the limit|context)"
    r"|request body too large for .{0,80} model"
    r"|input length \S{0,12} ?exceeds"
    r"|context length of (?:only )?\d+ tokens"
    r"|must have less than \d+ tokens"
    r"|input token count.{0,40}exceeds the maximum"
)
_ANTHROPIC_STREAM_STATUS = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says: its words as one lower-case text to look in, the message, the field."""

    text: str
    message: str
    param: str | None = None
    retry_after: float | None = None


def error_of(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """The named error for a provider's HTTP error; its `upstream` holds the status and the provider's words.

    Args:
        retry_after: seconds that the provider asks to wait.
    """
    complaint = read_complaint(body)
    error = _classified(status, complaint.text, complaint.retry_after if retry_after is None else retry_after)
    error.upstream = UpstreamReply(status, complaint.message, complaint.param)
    return error


def error_in_stream(data: Mapping[str, Any]) -> GatewayError:
    """The named error for an error object in the middle of a stream that began with HTTP 200.

    It is never the caller's request: that was accepted. An unknown word means that the answer broke off.
    """
    complaint = _complaint_of(data)
    inner = data.get("error")
    kind = inner.get("type") if isinstance(inner, Mapping) else None
    code = inner.get("code") if isinstance(inner, Mapping) else None
    status = _ANTHROPIC_STREAM_STATUS.get(kind) if isinstance(kind, str) else None
    if status is None and isinstance(code, int | str) and str(code).isdigit() and 400 <= int(code) < 600:
        status = int(code)
    error = _classified(status or 500, complaint.text, complaint.retry_after)
    if isinstance(error, UpstreamRejected | UpstreamUnavailable):
        error = UpstreamBroken()
    error.upstream = UpstreamReply(status, complaint.message, complaint.param)
    return error


def read_complaint(body: bytes) -> Complaint:
    """The code, type, message and field of an error body in any of the vendors' forms, or its text."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_WORDS].decode("utf-8", "replace").strip()
        return Complaint(text.lower(), "" if text.startswith("<") else text)
    return _complaint_of(data)


def _complaint_of(data: Any) -> Complaint:
    if isinstance(data, list) and data:  # Gemini's OpenAI-compatible endpoint
        data = data[0]
    if not isinstance(data, Mapping):
        text = str(data)[:_MAX_WORDS]
        return Complaint(text.lower(), text)
    inner = data.get("error")
    error: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
    message = inner if isinstance(inner, str) else _first_text(error, "message", "detail", "error_msg", "msg")
    words = [message]
    for fields in (error, data):
        words += [str(fields[name]) for name in ("code", "type", "status", "error_type") if fields.get(name)]
    wait: float | None = None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():  # Google's: ErrorInfo and RetryInfo
        if isinstance(detail, Mapping):
            words.append(str(detail.get("reason") or ""))
            if delay := _DELAY.fullmatch(str(detail.get("retryDelay") or "")):
                wait = min(float(delay[1]), MAX_RETRY_AFTER)
    # OpenRouter puts what the vendor behind it said here.
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        words.append(metadata["raw"])
    param = error.get("param")
    named = param if isinstance(param, str) and _PARAM.fullmatch(param) else None
    return Complaint(" ".join(words)[:_MAX_WORDS].lower(), message[:_MAX_WORDS], named, wait)


def _first_text(fields: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        if value:
            return orjson.dumps(value, default=str).decode()[:_MAX_WORDS]
    return ""


def _classified(status: int, text: str, retry_after: float | None) -> GatewayError:
    if status in _LIMITED:
        if retry_after is None and _LASTING_LIMIT(text):
            return UpstreamUnauthorized()
        return UpstreamRateLimited(retry_after=retry_after)
    if status in _OPERATOR:
        return UpstreamUnauthorized()
    if status in _TRANSIENT:
        return UpstreamUnavailable(retry_after=retry_after)
    if status in _OF_THE_REQUEST or status == 500:
        found = _by_words(status, text, retry_after)
        if found is not None:
            return found
    if status == 413:
        return UpstreamTooLarge()
    if status in (400, 422):
        return UpstreamRejected()
    if 400 <= status < 500:
        return UpstreamUnavailable(_NOT_OFFERED if status in (404, 410) else None, transient=False)
    if status >= 500:
        return UpstreamUnavailable(retry_after=retry_after)
    return UpstreamBroken()


_NOT_OFFERED = (
    "The model's provider does not have this model. Ask an administrator to check the configuration."
)


def _by_words(status: int, text: str, retry_after: float | None) -> GatewayError | None:
    """What the words of a 400, 413, 422 or 500 mean, where they mean more than the status."""
    if status != 500:
        if _SAYS_NOT_WELCOME(text) or _SAYS_NO_MONEY(text):
            return UpstreamUnauthorized()
        if _SAYS_LIMITED(text):
            return UpstreamRateLimited(retry_after=retry_after)
        if _SAYS_BUSY(text):
            return UpstreamUnavailable(retry_after=retry_after)
    if _SAYS_TOO_LONG(text) or _TOO_LONG.search(text):
        return ContextLengthExceeded()
    if status != 500 and (_SAYS_NO_MODEL(text) or _NO_SUCH_MODEL.search(text)):
        return UpstreamUnavailable(_NOT_OFFERED, transient=False)
    return None
