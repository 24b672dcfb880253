"""Roles: who is to speak, about which task, in what form."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class TaskConfig(ConfigModel):
    """What one task of a role has of its own; what is left out is the role's."""

    prompt: str | None = None
    model: str | None = None
    schema_: Annotated[dict[str, Any] | str | None, Field(alias="schema")] = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None


class RoleConfig(TaskConfig):
    """`prompt` is the name of a file in `prompts/` beside the configuration, or the text itself; `schema` a
    JSON Schema or the name of a `.json` file there. `model` may be an alias; None asks the router."""

    tasks: dict[str, TaskConfig] = Field(default_factory=dict)
