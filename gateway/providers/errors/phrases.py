"""Error codes and phrases that say more about a failure than its HTTP status.

They come from vendors' documentation and public bug reports, with patterns for variants. All are searched for
in lower-case text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

TextMatcher = Callable[[str], bool]


def _matcher(*phrases: str, patterns: tuple[str, ...] = ()) -> TextMatcher:
    pattern = re.compile("|".join(patterns)) if patterns else None

    def matches(text: str) -> bool:
        if any(phrase in text for phrase in phrases):
            return True
        return pattern is not None and pattern.search(text) is not None

    return matches


indicates_rate_limit = _matcher(
    "resource_exhausted", "quota exceeded", "quota_exceeded", "too many requests", "too many concurrent",
    "throttl",
    patterns=(
        r"rate[ _-]?limit",
        r"\b(?:tokens|requests) per (?:min|minute|second|day|hour)\b",
        r"\bconcurren(?:t|cy)\b.{0,40}\b(?:exceed|limit)",
        r"\bexceed\w{0,3}\b.{0,40}\bquota\b",
        r"\bquota\b.{0,40}\bexceed",
    ),
)  # fmt: skip
indicates_insufficient_credit = _matcher(
    "billing_hard_limit_reached", "billing hard limit", "billing_not_active", "requires billing",
    "enable billing", "payment required", "check your plan and billing", "please recharge", "top up",
    "arrearage", "accountoverdue", "account is in arrears", "exceeded_current_quota_error",
    "key limit exceeded", "out of credits", "no credits", "api usage limits", "余额不足", "欠费",
    patterns=(
        r"\binsufficient[ _-](?:account[ _-])?(?:balance|credit|fund|quota)",
        r"\b(?:balance|credits?|funds)\b.{0,20}\b(?:insufficient|exhausted|depleted|too low|not enough)",
        r"\bnot (?:have )?enough (?:balance|credit|fund)",
        r"\b(?:spend|spending|usage|credit)[ _-]limit\b",
        r"\bbudget\b.{0,24}\bexceeded\b|\bbudget_exceeded\b|\bexceeded\w* budget\b|\bexceededbudget\b",
    ),
)  # fmt: skip
# A 429 that no waiting resolves, because the account has no credit.
indicates_permanent_limit = _matcher(
    "insufficient_quota", "exceeded_current_quota_error", "insufficient balance", "insufficient_balance",
    "arrearage", "credit balance is too low", "余额不足", "欠费",
)  # fmt: skip
indicates_access_denied = _matcher(
    "unsupported_country_region_territory", "country, region, or territory not supported",
    "user location is not supported", "failed_precondition", "organization has been disabled",
    "account is not active", "account_deactivated", "access_terminated", "must be verified to",
    "operation not allowed", "api_key_invalid", "authentication_error", "authentication failed",
    "invalid authentication",
    patterns=(
        r"\b(?:invalid|incorrect|missing|expired|wrong)[ _-](?:x[ _-])?api[ _-]?key\b",
        r"\bapi[ _-]?key\b.{0,24}\b(?:invalid|not valid|expired|not found|revoked|disabled)\b",
        r"\bnot available in your (?:country|region)",
        r"\baccount\b.{0,24}\b(?:disabled|suspended|deactivated|blocked)\b",
        r"\b(?:account|key|project|organization|team)\b.{0,40}\b(?:no|not have|lacks?) (?:access|permission)",
    ),
)  # fmt: skip
_MODEL_REMOVED = r"(?:decommissioned|deprecated|retired|terminated|removed|disabled|sunset|shut ?down)"
indicates_unknown_model = _matcher(
    "model_not_found", "model not found", "model not exist", "model_not_exist", "model_not_available",
    "model_decommissioned", "model_terminated", "model_retired", "model_disabled", "model disabled",
    "model_not_supported", "unsupported model", "model is not supported", "unknown model", "unknown_model",
    "not a valid model", "no endpoints found", "no allowed providers", "is not a chat model",
    "deploymentnotfound", "model identifier is invalid", "on-demand throughput", "模型不存在",
    patterns=(
        r"\binvalid[ _]model\b(?! (?:param|input|output|arg|kwarg|option|setting|config|response))",
        r"\binvalid model name",
        r"\bmodel\b.{0,160}\b(?:does not exist|doesn't exist|was not found|is not found)\b",
        rf"\bmodel\b.{{0,80}}\b(?:has|have) been {_MODEL_REMOVED}\b",
        rf"\bmodel\b.{{0,80}}\bis {_MODEL_REMOVED}\b",
        r"\bmodel\b.{0,80}\b(?:no longer (?:available|supported|served)|end of (?:its )?life)\b",
        r"\bunable to access (?:non-serverless )?model\b",
    ),
)  # fmt: skip
indicates_overload = _matcher(
    "overloaded", "over capacity", "at capacity", "temporarily unavailable", "out of memory",
    "more system memory",
    patterns=(r"\b(?:service|server|upstream|engine|backend|system)\b.{0,40}\b(?:unavailable|busy)\b",),
)  # fmt: skip
# The provider's own moderation rejected the input.
indicates_content_filter = _matcher(
    "input was flagged", "prompt was flagged", "content_policy", "content policy", "content_filter",
    "usage policy", "content management policy", "moderation_blocked", "flagged by moderation",
)  # fmt: skip
_CONTEXT_WINDOW = r"\bcontext[ _-]?(?:length|window|size|limit)"
_EXCEEDS = (
    r"(?:exceed|overflow|too (?:long|large|big|many)|(?:longer|larger|greater|bigger|more) than|beyond"
    r"|>|maximum|reduce|shorten|truncat|limited to|of only|only \d)"
)
indicates_context_overflow = _matcher(
    # OpenAI, Azure, Groq, DeepSeek, OpenRouter, vLLM, Fireworks, SGLang, Together, LiteLLM
    "context_length_exceeded", "maximum context length", "maximum model length",
    "context window of this model", "input tokens exceed", "contextwindowexceeded",
    # Anthropic, Bedrock, Replicate, Perplexity, Cohere
    "exceed context limit", "too many input tokens", "too many tokens",
    # Gemini, xAI, Kimi, MiniMax, Mistral, Zhipu, DashScope, GitHub
    "exceeds the maximum number of tokens", "maximum prompt length", "exceeded model token limit",
    "too large for model", "prompt exceeds max length", "prompt 超长", "range of input length should be",
    "tokens_limit_reached", "maximum allowed input length", "number of input tokens exceeds",
    "cannot exceed the total tokens limit", "exceeded this model context window", "context length is only",
    # llama.cpp, LM Studio, Ollama, TGI
    "exceed_context_size", "available context size", "reached context length", "input length exceeds",
    "exceeds the model's context", "exceeds model's maximum context", "configured context size",
    "`inputs` tokens + `max_new_tokens`", "reduce the length of the messages",
    patterns=(
        rf"{_CONTEXT_WINDOW}.{{0,200}}{_EXCEEDS}",
        rf"{_EXCEEDS}.{{0,200}}{_CONTEXT_WINDOW}",
        # Must not match a single field of the request that is too long.
        r"\b(?:prompt|input|messages?|conversation|query|request)\b[^'\"\[\].]{0,40}(?<!string )\btoo long\b",
        r"\b(?:input|prompt|total|requested)[ _](?:input[ _])?(?:tokens?|length|context)\b(?!.{0,40}\bper )"
        r".{0,80}(?:exceed|only supports|supports up to|must be (?:<|less|at most|within)|(?:greater|larger"
        r"|longer|more) than)",
        r"prompt (?:token count|has) \S{0,8} ?\d{1,12}.{0,80}(?:exceeds the limit|context)",
        r"request body too large for .{0,80} model",
        r"input length \S{0,12} ?exceeds",
        r"context length of (?:only )?\d{1,12} tokens",
        r"must have less than \d{1,12} tokens",
        r"input token count.{0,40}exceeds the maximum",
    ),
)  # fmt: skip
