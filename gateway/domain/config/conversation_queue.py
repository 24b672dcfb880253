"""Queue of turns for a busy conversation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class ConversationQueueConfig(ConfigModel):
    """With `on_busy: queue` at most `turns` wait, each for at most `seconds`."""

    turns: Annotated[int, Field(ge=0, le=1000)] = 8
    seconds: Annotated[float, Field(gt=0, le=600)] = 60
