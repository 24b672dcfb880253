"""Providers and their timeouts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from gateway.domain.config.base import ConfigModel


class Timeouts(ConfigModel):
    """Timeouts in seconds.

    `first_token` is how long a stream may be silent; comments, pings and empty chunks count as activity. It
    also applies to unstreamed answers as long as another model or provider could answer. Otherwise such an
    answer may be silent for this time again for each 250 tokens it may have (1500 without a limit). `live`
    limits the duration of an unstreamed answer, `stream` that of a stream. `mock` replaces both for the mock.
    """

    mock: Annotated[float, Field(gt=0)] = 5
    live: Annotated[float, Field(gt=0)] = 180
    first_token: Annotated[float, Field(gt=0)] = 10
    stream: Annotated[float, Field(gt=0)] = 1800
    connect: Annotated[float, Field(gt=0)] = 5


class ProviderTimeouts(ConfigModel):
    """Timeouts in seconds that override `timeouts` for one provider."""

    live: Annotated[float, Field(gt=0)] | None = None
    first_token: Annotated[float, Field(gt=0)] | None = None
    stream: Annotated[float, Field(gt=0)] | None = None
    connect: Annotated[float, Field(gt=0)] | None = None


class ProviderConfig(ConfigModel):
    """A provider: a vendor endpoint. `options` depend on its `ProviderType`.

    Options of `openai`: `headers`; `max_tokens_field`, the vendor's name of the token limit, or patterns of
    models with such names; `message_fields`, `all` or `known`: whether fields of messages that OpenAI does
    not document are sent (`known` for api.openai.com, else `all`; if a server rejects such a field by name,
    the request is repeated without it). Of `anthropic`: `headers`, `betas`, and fields of the body such as
    `thinking`. Of `gemini`: `headers`, arguments of `ChatGoogleGenerativeAI`, and `placeholder_signature`. Of
    `ollama`: `headers`; `num_ctx`, the largest context window requested; `reasoning`, `keep_alive`, and
    Ollama's model options. `base_url` of an OpenAI-compatible server includes its `/v1`. For `ollama` and
    `local`, which load models and may run on a CPU, `first_token` defaults to 120 and `live` to 600.
    """

    type: str
    base_url: str | None = None
    api_key: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    timeouts: ProviderTimeouts = ProviderTimeouts()

    @field_validator("base_url", "api_key", mode="after")
    @classmethod
    def _blank_is_none(cls, value: str | None) -> str | None:
        return value.strip() or None if value is not None else None

    @field_validator("base_url", mode="after")
    @classmethod
    def _is_a_base(cls, value: str | None) -> str | None:
        """Reject a query or fragment, because paths are appended."""
        if value is not None and ("?" in value or "#" in value):
            raise ValueError("base_url must have no ?query and no #fragment; paths are appended")
        return value
