"""How questions are understood."""

from __future__ import annotations

from typing import Literal

from gateway.domain.config.base import ConfigModel


class IntentConfig(ConfigModel):
    """`fast` judges on this machine, `llm` asks the light model, `hybrid` asks it only where unsure."""

    mode: Literal["fast", "llm", "hybrid"] = "fast"
