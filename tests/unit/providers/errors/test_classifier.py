"""Classification of provider errors: who is at fault, and whether another model may answer."""

from __future__ import annotations

import json

import pytest

from gateway.core.exceptions import (
    ContextLengthExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTooLarge,
    UpstreamUnauthorized,
    UpstreamUnavailable,
)
from gateway.providers.errors.classifier import classify_response, classify_stream_error


def openai(
    message: str, code: str | None = None, kind: str = "invalid_request_error", **more: object
) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code, **more}}).encode()


def anthropic(message: str, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def google(message: str, status: str, code: int = 400, **more: object) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, **more}}).encode()


@pytest.mark.parametrize("status", [408, 409, 423, 425, 498, 499, 500, 502, 503, 520, 529])
def test_a_temporary_status_is_transient(status: int) -> None:
    error = classify_response(status, b"", 3)
    assert isinstance(error, UpstreamUnavailable)
    assert error.transient
    assert error.retry_after == 3


@pytest.mark.parametrize("status", [404, 405, 406, 410, 411, 412, 415, 417, 418, 421, 424, 426, 428, 431])
def test_a_status_that_no_caller_can_cause_falls_back_and_is_not_retried(status: int) -> None:
    error = classify_response(status, b"", None)
    assert isinstance(error, UpstreamUnavailable)
    assert not error.transient


@pytest.mark.parametrize("status", [401, 402, 403, 407, 451])
def test_a_rejected_account_is_unauthorized(status: int) -> None:
    assert type(classify_response(status, b"", None)) is UpstreamUnauthorized


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, anthropic("Your credit balance is too low to access the Anthropic API.")),
        (
            400,
            anthropic(
                "You have reached your specified API usage limits. You will regain access on 2026-12-01."
            ),
        ),
        (400, anthropic("This organization has been disabled.")),
        (400, google("User location is not supported for the API use.", "FAILED_PRECONDITION")),
        (400, google("API key expired. Please renew the API key.", "INVALID_ARGUMENT")),
        (400, openai("Access denied, please make sure your account is in good standing.", "Arrearage")),
        (400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
        (422, openai("Insufficient Balance")),
        (400, b'{"errors": [{"message": "Your credit balance is too low"}]}'),
        (400, b'{"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}'),
        (400, b'{"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2"}}}'),
        (400, b'\xef\xbb\xbf{"error": {"message": "Incorrect API key provided: xa***"}}'),
        (400, openai("余额不足或无可用资源包,请充值。", "1113")),
        (429, openai("余额不足或无可用资源包,请充值。", "1113")),
        (400, openai("You have reached your monthly spend limit")),
        (400, openai("Key limit exceeded (total limit).")),
        (
            400,
            openai("Budget has been exceeded! Current cost: 5.1, Max budget: 5.0", "400", "budget_exceeded"),
        ),
        (400, openai("Your organization must be verified to stream this model.", "unsupported_value")),
        (400, openai("Your account does not have access to this model.")),
        (400, b'{"__type": "ValidationException", "message": "Operation not allowed"}'),
        (400, openai("Your account is suspended")),
        (400, openai("Provider error", metadata={"raw": '{"error": "Insufficient credits"}'})),
        (429, openai("You exceeded your current quota.", "insufficient_quota", "insufficient_quota")),
    ],
)
def test_messages_about_credit_and_region_are_unauthorized(status: int, body: bytes) -> None:
    error = classify_response(status, body, None)
    assert type(error) is UpstreamUnauthorized
    assert not error.retryable


GROQ = (
    "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested "
    "7012, please reduce your message size and try again. Need more tokens? Upgrade at https://x/billing"
)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (413, openai(GROQ, "rate_limit_exceeded", "tokens")),
        (400, openai("Requests rate limit exceeded, please try again later.", "Throttling.RateQuota")),
        (
            400,
            json.dumps(
                {"__type": "ThrottlingException", "message": "Throttling: too many requests"}
            ).encode(),
        ),
        (400, openai("Error code: 429 - rate limit")),
        (400, openai("This request would exceed your account's rate limit. Please try again later.")),
        (400, openai("Number of concurrent requests exceeded")),
        (400, google("Quota exceeded for 'requests per minute'", "RESOURCE_EXHAUSTED")),
        (
            429,
            google(
                "You exceeded your current quota, check your plan and billing.", "RESOURCE_EXHAUSTED", 429
            ),
        ),
    ],
)
def test_a_message_about_a_limit_is_a_rate_limit(status: int, body: bytes) -> None:
    assert type(classify_response(status, body, None)) is UpstreamRateLimited


def test_the_retry_delay_in_googles_body_is_used() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}]
    error = classify_response(429, google("Quota exceeded", "RESOURCE_EXHAUSTED", 429, details=details), None)
    assert error.retry_after == 36.5


@pytest.mark.parametrize(
    "body",
    [
        openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
        openai("The model `llama3-8b-8192` has been decommissioned.", "model_decommissioned"),
        openai("Model Not Exist"),
        openai("nope/nope is not a valid model ID"),
        openai("Invalid model: mistral-tiny", None, "invalid_model"),
        openai("Invalid model 'sonar-x'. Permitted models can be found in the documentation"),
        openai("模型不存在，请检查模型代码。", "1211"),
        openai("Unable to access non-serverless model x. Please create a dedicated endpoint"),
        openai("This model is no longer available."),
        openai("The model `x` has been shut down"),
        openai("Model disabled."),
        openai("model `x` has been terminated"),
        openai("No allowed providers are available for the selected model."),
        b'{"message": "The provided model identifier is invalid."}',
        b'{"message": "Invocation of model ID x with on-demand throughput isn\xe2\x80\x99t supported."}',
        b'{"message": "This model version has reached the end of its life."}',
        b'{"success": false, "errors": [{"code": 5007, "message": "No such model: model not found"}]}',
    ],
)
def test_an_unknown_model_is_a_configuration_error(body: bytes) -> None:
    error = classify_response(400, body, None)
    assert isinstance(error, UpstreamUnavailable)
    assert not error.transient


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "Input tokens exceed the configured limit of 272000 tokens.",
        "input length and `max_tokens` exceed context limit: 90402 + 116650 > 204648, decrease input length",
        "prompt is too long: 209353 tokens > 200000 maximum",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 and 100",
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
        "Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)",
        "The number of tokens to keep from the initial prompt is greater than the context length.",
        "However, the model is loaded with context length of only 4096 tokens, which is not enough.",
        "Input is too long for requested model.",
        "Too many input tokens.",
        "The total length of all messages is too long.",
        "the request exceeds the available context size, try increasing it",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "input length exceeds the context length",
        "prompt too long; exceeded max context length by 5 tokens",
        "invalid params, context window exceeds limit (2013)",
        "prompt token count of 5000 exceeds the limit of 4096",
        "Prompt has 5000 tokens, but the configured context size is 4096 tokens",
        "Range of input length should be [1, 30720]",
        "too many tokens: size limit exceeded by 19296 tokens. The limit for this model is 132000 tokens.",
        "Requested token count exceeds the model's maximum context length of 131072 tokens",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "Request body too large for gpt-4o model. Max size: 8000 tokens.",
        "The input token count is 40000 but model only supports up to 32768.",
        "This model does not support requests of this length: 20000 tokens > context window 16384",
        "Your messages are too long: 130000 tokens exceed the context length 128000",
        "The message you submitted was too long, please submit something shorter.",
        "prompt length exceeds context window",
        "total tokens (input + max_new_tokens) must be <= 8192",
        "Requested input length 6000 exceeds maximum input length 4096",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "You passed 40001 input tokens. However, the model's context length is only 32768 tokens.",
        "'max_tokens' is too large: 8000. This model's maximum context length is 8192 tokens.",
        "litellm.ContextWindowExceededError: the prompt does not fit",
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_context_overflow_is_recognised_for_every_vendor(message: str, status: int) -> None:
    error = classify_response(status, openai(message), None)
    assert isinstance(error, ContextLengthExceeded)
    assert "maximum context length" in error.message
    assert "context_length_exceeded" in error.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("Unsupported value: 'temperature' does not support 0.2.", "unsupported_value")),
        (400, openai("max_tokens is too large: 100000. This model supports at most 4096 completion tokens.")),
        (400, anthropic("max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens")),
        (400, anthropic("messages: roles must alternate")),
        (422, openai("stop must have less than 5 sequences")),
        (
            400,
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model.", param="max_tokens"
            ),
        ),
        (400, openai("For this model, the parameter 'top_k' is not supported.")),
        (400, openai("Tool 'x' was not found in model request")),
        (400, openai("Invalid 'messages[1].tool_calls[0].id': string too long. Expected at most 40.")),
        (400, openai("Invalid schema for function 'authentication': None is not of type 'object'")),
        (400, openai("Invalid model parameters: top_k")),
        (400, openai("The thinking budget limit is 24576; choose a smaller one.")),
        (422, b'{"detail": [{"msg": "Field required", "input": "insufficient balance, rate limit"}]}'),
        (400, openai("Timeout while downloading the image.", "invalid_image_url")),
        (400, openai("The prompt triggered the content management policy.", "content_filter")),
        (400, google("Developer instruction is not enabled for models/gemma-3", "INVALID_ARGUMENT")),
        (400, b'{"error": {"message": "Bad input", "input": "rate limit exceeded, insufficient balance"}}'),
        (403, openai('Your chosen model requires moderation and your input was flagged for "violence".')),
        (400, b""),
        (422, b'{"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}'),
    ],
)
def test_a_bad_request_is_the_callers_fault(status: int, body: bytes) -> None:
    assert type(classify_response(status, body, None)) is UpstreamRejected


def test_a_too_large_body_allows_a_fallback() -> None:
    html = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    assert type(classify_response(413, html, None)) is UpstreamTooLarge
    assert (
        type(classify_response(413, anthropic("Request exceeds the maximum size", "request_too_large"), None))
        is UpstreamTooLarge
    )


@pytest.mark.parametrize(
    "body",
    [
        openai("The upstream server is currently unavailable. Try again."),
        openai("Engine currently overloaded"),
        b'{"error": "model requires more system memory (8.4 GiB) than is available (4.2 GiB)"}',
        b'{"success": false, "errors": [{"code": 7009, "message": "Upstream service unavailable"}]}',
    ],
)
def test_an_overloaded_provider_with_400_is_transient(body: bytes) -> None:
    error = classify_response(400, body, None)
    assert isinstance(error, UpstreamUnavailable)
    assert error.transient


def test_error_bodies_of_any_depth_and_size_are_parsed_within_limits() -> None:
    nested: object = "insufficient balance"
    for _ in range(200):
        nested = {"error": nested}
    assert type(classify_response(400, json.dumps(nested).encode(), None)) is UpstreamRejected
    wide = {"errors": [{"message": f"bad {n}"} for n in range(5000)]}
    reply = classify_response(400, json.dumps(wide).encode(), None).upstream_reply
    assert reply is not None
    assert reply.reason == "bad 0"


@pytest.mark.parametrize(
    ("body", "reason", "param"),
    [
        (openai("Bad", param="messages[0].role"), "Bad", "messages[0].role"),
        (openai("Bad", param="a b <script>"), "Bad", None),
        (b'[{"error": {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}}]', "Bad", None),
        (b'{"error": "Bad"}', "Bad", None),
        (b'{"detail": "Bad"}', "Bad", None),
        (b'{"message": "Bad"}', "Bad", None),
        (
            b'{"detail": [{"loc": ["body", "messages", 0], "msg": "Bad field", "input": "rate limit"}]}',
            "body.messages.0: Bad field",
            None,
        ),
        (
            b'{"message": {"detail": [{"msg": "Not permitted", "input": "no credits"}]}}',
            "Not permitted",
            None,
        ),
        (b"Bad", "Bad", None),
        (b"<html>Bad</html>", "", None),
        (b"[]", "[]", None),
        (b"", "", None),
    ],
)
def test_the_providers_message_is_recorded_for_operators(body: bytes, reason: str, param: str | None) -> None:
    reply = classify_response(400, body, None).upstream_reply
    assert reply is not None
    assert (reply.status, reply.reason, reply.param) == (400, reason, param)


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            UpstreamBroken,
            529,
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}},
            UpstreamRateLimited,
            429,
        ),
        ({"error": {"code": 429, "message": "Slow"}}, UpstreamRateLimited, 429),
        ({"error": {"code": "502", "message": "Gone"}}, UpstreamBroken, 502),
        ({"error": {"code": 402, "message": "Insufficient credits"}}, UpstreamUnauthorized, 402),
        ({"error": {"code": 400, "message": "maximum context length is 5"}}, ContextLengthExceeded, 400),
        ({"error": {"code": 400, "message": "Bad"}}, UpstreamBroken, 400),
        ({"error": "boom"}, UpstreamBroken, None),
        (
            {"object": "error", "message": "maximum context length is 5", "code": 400},
            ContextLengthExceeded,
            400,
        ),
        ({"message": "Rate limit reached", "code": "rate_limit_exceeded"}, UpstreamRateLimited, None),
        ({"error": {"message": "No quota", "code": "insufficient_quota"}}, UpstreamUnauthorized, None),
        ({"error": {"code": 413, "message": "Large"}}, UpstreamBroken, 413),
    ],
)
def test_an_error_in_a_stream_is_classified(
    data: dict[str, object], kind: type[GatewayError], status: int | None
) -> None:
    error = classify_stream_error(data)
    assert type(error) is kind
    assert error.upstream_reply is not None
    assert error.upstream_reply.status == status
