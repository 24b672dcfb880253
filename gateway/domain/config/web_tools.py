"""The web search and fetch tools."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork

from gateway.domain.config.base import ConfigModel

Port = Annotated[int, Field(ge=1, le=65535)]


class WebSearchConfig(ConfigModel):
    """`region` is country and language (`kr-kr`), `backend` `auto` or engines."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]{2,5}$")] = "us-en"
    max_results: Annotated[int, Field(ge=1, le=20)] = 8
    backend: Annotated[str, Field(pattern=r"^[a-z]+(,[a-z]+)*$")] = "auto"
    safesearch: Literal["on", "moderate", "off"] = "moderate"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10


class FetchConfig(ConfigModel):
    """`allow_private` permits private networks, but never metadata services.

    `max_bytes` limits the decompressed size.
    """

    allow_private: tuple[IPvAnyNetwork, ...] = ()
    ports: tuple[Port, ...] = (80, 443, 8080, 8443)
    max_bytes: Annotated[int, Field(ge=1024, le=10 * 1024 * 1024)] = 2 * 1024 * 1024
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 20
