"""Roles: prompt, model and output schema of a task."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gateway.domain.config.base import ConfigModel


class TaskConfig(ConfigModel):
    """Settings of one task; missing ones are inherited from the role."""

    prompt: str | None = None
    model: str | None = None
    schema_: Annotated[dict[str, Any] | str | None, Field(alias="schema")] = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None


class RoleConfig(TaskConfig):
    """A role with its tasks.

    `prompt` is the name of a file in `prompts/` beside the configuration, or the text itself; `schema` a JSON
    Schema or the name of a `.json` file there. `model` may be an alias; without one the router decides.
    """

    tasks: dict[str, TaskConfig] = Field(default_factory=dict)
