"""Bounds of the tools that read the web."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork

from gateway.domain.config.base import ConfigModel

Port = Annotated[int, Field(ge=1, le=65535)]


class WebSearchConfig(ConfigModel):
    """`region` is a country and a language (`kr-kr`); `backend` is `auto` or engines' names with commas."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}-[a-z]{2,5}$")] = "us-en"
    max_results: Annotated[int, Field(ge=1, le=20)] = 8
    backend: Annotated[str, Field(pattern=r"^[a-z]+(,[a-z]+)*$")] = "auto"
    safesearch: Literal["on", "moderate", "off"] = "moderate"
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10


class FetchConfig(ConfigModel):
    """`allow_private` opens networks of the house, never metadata services; `max_bytes` are unpacked ones."""

    allow_private: tuple[IPvAnyNetwork, ...] = ()
    ports: tuple[Port, ...] = (80, 443, 8080, 8443)
    max_bytes: Annotated[int, Field(ge=1024, le=10 * 1024 * 1024)] = 2 * 1024 * 1024
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 20
