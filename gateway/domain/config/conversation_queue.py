"""How many turns may wait for a busy conversation, and how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ConversationQueueConfig(ConfigModel):
    """Of turns with `on_busy: queue`: at most `turns` wait for a conversation, none longer than `seconds`."""

    turns: Annotated[int, Field(ge=0, le=1000)] = 8
    seconds: Annotated[float, Field(gt=0, le=600)] = 60
