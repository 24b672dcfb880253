"""OpenAI's chat completion body, as far as the gateway supports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import PydanticCustomError

from gateway.domain.config.guardrails import GuardMode, GuardModes
from gateway.schemas.base import Body, bounded_list

# Each choice is a separate turn.
MAX_CHOICES = 8
MAX_TOOLS = 128
# Beyond any context window; more than 64 bits fit neither the database nor vendors' JSON.
MAX_TOKENS = 2**31 - 1
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Stop = str | Annotated[list[str], bounded_list(4)]


ImageDetail = Literal["auto", "low", "high", "original"]


class OpenAIModel(BaseModel):
    """Validates known fields and accepts unknown ones, since OpenAI adds fields."""

    model_config = ConfigDict(extra="allow")


def as_arguments(value: Any) -> Any:
    """Convert arguments to text: several clients send an object, or null for none."""
    if value is None:
        return ""
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


Arguments = Annotated[str, BeforeValidator(as_arguments, json_schema_input_type=str)]


class FunctionCall(OpenAIModel):
    name: Annotated[str, Field(max_length=256)]
    arguments: Arguments = ""


class CustomCall(OpenAIModel):
    name: Annotated[str, Field(max_length=256)]
    input: str = ""


class ToolCallBody(OpenAIModel):
    """A tool call; `type` determines which of the other fields applies."""

    id: str
    type: Annotated[
        Literal["function", "custom"],
        BeforeValidator(
            lambda value: value or "function", json_schema_input_type=Literal["function", "custom"]
        ),
    ] = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class ImageUrl(OpenAIModel):
    url: str
    detail: ImageDetail | None = None


def _image_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ContentPart(OpenAIModel):
    """A content part; `type` determines which of the other fields applies."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Annotated[
        ImageUrl | None, BeforeValidator(_image_url, json_schema_input_type=str | ImageUrl | None)
    ] = None


class MessageBody(OpenAIModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[ContentPart], bounded_list(10_000)] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCallBody] | None, bounded_list(1000)] = None
    tool_call_id: str | None = None


class FunctionSpec(OpenAIModel):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomSpec(OpenAIModel):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    format: dict[str, Any] | None = None


class ToolBody(OpenAIModel):
    """A tool; `type` determines which of the other fields applies."""

    type: str
    function: FunctionSpec | None = None
    custom: CustomSpec | None = None


class NamedFunction(OpenAIModel):
    name: str


class NamedTool(OpenAIModel):
    """A tool by type and name; the field named by the type is required."""

    type: str
    function: Annotated[NamedFunction | None, Field(validate_default=True)] = None
    custom: Annotated[NamedFunction | None, Field(validate_default=True)] = None

    @field_validator("function", "custom", "allowed_tools", mode="before", check_fields=False)
    @classmethod
    def _is_given(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("type") == info.field_name:
            raise PydanticCustomError("missing", "Field required")
        return value

    @property
    def name(self) -> str | None:
        selected = self.custom if self.type == "custom" else self.function
        return selected.name if selected is not None else None


class AllowedTools(OpenAIModel):
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[NamedTool], bounded_list(1024)]


class NamedToolChoice(NamedTool):
    type: Literal["function", "custom", "allowed_tools"]
    allowed_tools: Annotated[AllowedTools | None, Field(validate_default=True)] = None


class JsonSchema(OpenAIModel):
    name: str
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormatBody(OpenAIModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(OpenAIModel):
    include_usage: bool | None = None


class _GuardrailOverrides(Body):
    """Requested guardrail modes; the stricter of this and the configured mode applies."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    def overrides(self) -> dict[str, GuardMode]:
        return {name: mode for name in self.model_fields_set if (mode := getattr(self, name)) is not None}


if TYPE_CHECKING:
    GatewayGuardrails = _GuardrailOverrides
else:
    # One optional field for each mode of the configuration, so that a new guard can be requested by its name.
    GatewayGuardrails = create_model(
        "GatewayGuardrails",
        __base__=_GuardrailOverrides,
        __doc__=_GuardrailOverrides.__doc__,
        **dict.fromkeys(GuardModes.model_fields, (GuardMode | None, None)),
    )


class GatewayFields(Body):
    """The gateway's own fields, under `gateway`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)

    role: Annotated[str | None, Field(max_length=100)] = None
    task: Annotated[str | None, Field(max_length=100)] = None
    tools: Annotated[list[str] | None, bounded_list(MAX_TOOLS)] = None
    fallbacks: Annotated[list[str] | None, bounded_list(16)] = None
    cache: bool | None = None
    guardrails: GatewayGuardrails = GatewayGuardrails()


class ChatCompletionBody(OpenAIModel):
    """POST /v1/chat/completions.

    Unknown fields are accepted and forwarded to OpenAI-compatible providers.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[list[MessageBody], bounded_list(10_000, min_items=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    n: Annotated[int | None, Field(ge=1, le=MAX_CHOICES)] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=MAX_TOKENS)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=MAX_TOKENS)] = None
    stop: Stop | None = None
    seed: Seed | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    response_format: ResponseFormatBody | None = None
    tools: Annotated[list[ToolBody] | None, bounded_list(MAX_TOOLS)] = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    gateway: GatewayFields = GatewayFields()

    @property
    def custom_tools(self) -> frozenset[str]:
        """Return the names of custom tools, which take text instead of arguments."""
        return frozenset(
            tool.custom.name for tool in self.tools or () if tool.custom and tool.type == "custom"
        )
