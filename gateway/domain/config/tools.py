"""Which tools the gateway has, and what bounds them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ToolsConfig(ConfigModel):
    """`max_rounds` of model, tools, model … in one turn; `turn_seconds` is all tools' time together."""

    enabled: tuple[str, ...] = ("calculator", "current_time")
    max_rounds: Annotated[int, Field(ge=0, le=64)] = 8
    turn_seconds: Annotated[float, Field(gt=0)] = 120
