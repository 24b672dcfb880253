"""OpenAI's `/v1/responses` body, as far as the gateway supports it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from gateway.dialects.openai.chat.body import (
    MAX_TOKENS,
    MAX_TOOLS,
    Arguments,
    GatewayFields,
    ImageDetail,
    OpenAIModel,
    Seed,
    Stop,
)
from gateway.schemas.base import bounded_list, max_members


class InputPart(OpenAIModel):
    """A content part; `type` determines which of the other fields applies."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: ImageDetail | None = None


def _parts(value: Any) -> Any:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


def _items(value: Any) -> Any:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


# A plain text is converted to parts: one shape from here on, and one form of error paths.
_Parts = Annotated[list[InputPart], bounded_list(10_000)]
Parts = Annotated[_Parts, BeforeValidator(_parts, json_schema_input_type=str | _Parts)]


class InputItem(OpenAIModel):
    """A message, reference, call or output.

    `type` (optional for the first two) determines the fields.
    """

    type: str | None = None
    id: Annotated[str | None, Field(max_length=256)] = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Parts | None = None
    call_id: Annotated[str | None, Field(max_length=256)] = None
    name: Annotated[str | None, Field(max_length=256)] = None
    namespace: Annotated[str | None, Field(max_length=256)] = None
    arguments: Arguments | None = None
    input: str | None = None
    output: Parts | None = None


class FunctionToolBody(OpenAIModel):
    """A function, custom or hosted tool.

    `type` determines which of the other fields applies.
    """

    type: str
    name: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None


class ResponseToolBody(FunctionToolBody):
    """A tool, or a namespace of tools."""

    tools: Annotated[list[FunctionToolBody] | None, bounded_list(MAX_TOOLS)] = None


class AllowedToolBody(OpenAIModel):
    type: str
    name: str | None = None
    namespace: str | None = None


class ResponseToolChoice(AllowedToolBody):
    """One tool, or for the type `allowed_tools` those that the model may choose from."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[AllowedToolBody] | None, bounded_list(1024)] = None


class TextFormat(OpenAIModel):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextConfig(OpenAIModel):
    format: TextFormat | None = None
    verbosity: str | None = None


class ReasoningConfig(OpenAIModel):
    effort: str | None = None
    summary: str | None = None


_Items = Annotated[list[InputItem], bounded_list(10_000, min_items=1)]


class ResponsesBody(OpenAIModel):
    """POST /v1/responses. Unknown fields are accepted.

    Those known to chat completions are forwarded.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    input: Annotated[_Items, BeforeValidator(_items, json_schema_input_type=str | _Items)]
    instructions: str | Annotated[list[InputItem], bounded_list(1000)] | None = None
    previous_response_id: str | None = None
    store: bool | None = True
    stream: bool | None = False
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(ge=0, le=1)] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=MAX_TOKENS)] = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None
    include: Annotated[list[str] | None, bounded_list(100)] = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    tools: Annotated[list[ResponseToolBody] | None, bounded_list(MAX_TOOLS)] = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int | None, Field(ge=1, le=MAX_TOKENS)] = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None,
        Field(max_length=16),
        max_members(16),
    ] = None
    # Parameters of chat completions that are also supported here.
    seed: Seed | None = None
    stop: Stop | None = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    gateway: GatewayFields = GatewayFields()
