"""OpenAI's chat completion body, as far as the gateway understands it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.config.guardrails import GuardKind, GuardMode
from gateway.schemas.base import Body, items

_KINDS: tuple[GuardKind, ...] = get_args(GuardKind)
# Each choice is a turn of its own.
MOST_CHOICES = 8
MOST_TOOLS = 128
# No model has so large a window; beyond 64 bits neither the database nor a vendor's JSON carries it.
MOST_TOKENS = 2**31 - 1
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = str | Annotated[list[str], items(4)]


ImageDetail = Literal["auto", "low", "high", "original"]


class _Part(BaseModel):
    """Known fields are checked, others accepted: OpenAI's bodies grow."""

    model_config = ConfigDict(extra="allow")


class FunctionCall(_Part):
    name: Annotated[str, Field(max_length=256)]
    arguments: str = ""


class ToolCallBody(_Part):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ImageUrl(_Part):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ContentPart(_Part):
    """`type` decides which of the other fields counts."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None


class MessageBody(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[ContentPart], items(10_000)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCallBody] | None, items(1000)] = None
    tool_call_id: str | None = None


class FunctionSpec(_Part):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(_Part):
    type: str
    function: FunctionSpec | None = None


class NamedFunction(_Part):
    name: str


class NamedToolChoice(_Part):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_Part):
    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormatBody(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Part):
    include_usage: bool | None = None


class GatewayGuardrails(Body):
    """What the caller wants checked; the stricter of this and the configuration holds."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    injection: GuardMode | None = None
    unsafe: GuardMode | None = None
    tool_results: GuardMode | None = None
    leak: GuardMode | None = None
    personal_data: GuardMode | None = None

    def wishes(self) -> dict[GuardKind, GuardMode]:
        if not self.model_fields_set:
            return {}
        return {kind: mode for kind in _KINDS if (mode := getattr(self, kind)) is not None}


class GatewayFields(Body):
    """The gateway's own fields, under `gateway`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    role: Annotated[str | None, Field(max_length=100)] = None
    task: Annotated[str | None, Field(max_length=100)] = None
    tools: Annotated[list[str] | None, items(MOST_TOOLS)] = None
    fallbacks: Annotated[list[str] | None, items(16)] = None
    cache: bool | None = None
    guardrails: GatewayGuardrails = GatewayGuardrails()


class ChatCompletionBody(_Part):
    """POST /v1/chat/completions. Unknown fields are accepted and handed to providers that speak OpenAI."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[MessageBody], items(10_000, least=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    n: Annotated[int | None, Field(ge=1, le=MOST_CHOICES)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    stop: Stop | None = None
    seed: Seed | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    response_format: ResponseFormatBody | None = None
    tools: Annotated[list[ToolBody] | None, items(MOST_TOOLS)] = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    gateway: GatewayFields = GatewayFields()
