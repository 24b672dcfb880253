"""Routing between the light and the heavy model, and routing rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class RoutingRule(ConfigModel):
    """Matches if every given field contains the turn's value."""

    role: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    intent: tuple[str, ...] = ()
    mode: Literal["final"] | None = None
    model: str


class Routing(ConfigModel):
    light: str | None = None
    heavy: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    rules: tuple[RoutingRule, ...] = ()
