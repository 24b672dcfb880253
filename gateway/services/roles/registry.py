"""Loads the configured roles with their prompts and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.core.exceptions import NotFound, ValidationFailed
from gateway.domain.config.loader import ConfigError
from gateway.domain.config.roles import RoleConfig, TaskConfig
from gateway.services.roles.output_schema import OutputSchema

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)(!)?(\?)?\s*\}\}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,100}(\.(md|txt|json))?")
_MAX_PROMPT_CHARACTERS = 256 * 1024
Payload = dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class RoleTask:
    """One task of a role, or the role itself.

    `model` None leaves the choice to the router.
    """

    role: str
    task: str | None
    prompt: str
    model: str | None
    output_schema: OutputSchema | None
    temperature: float | None
    max_tokens: int | None

    def render(self, payload: Payload) -> str:
        """Fill the prompt's `{{name}}` placeholders from `payload`.

        Dots access nested fields.

        `{{name?}}` is optional. `{{name!}}` is required but stays a name: the model receives the payload
        itself in the next message.

        Raises:
            ValidationFailed: a required value is missing; `param` names it.
        """

        def value(mark: re.Match[str]) -> str:
            resolved = payload if mark[1] == "payload" else _lookup(payload, mark[1].split("."))
            if mark[2] and (resolved is not None or mark[3]):
                return f"`{mark[1]}`"
            if resolved is None:
                if mark[3]:
                    return ""
                raise ValidationFailed(
                    f"The role {self.role} needs {mark[1]} in the payload.", param=f"payload.{mark[1]}"
                )
            return resolved if isinstance(resolved, str) else json.dumps(resolved, ensure_ascii=False)

        return _PLACEHOLDER.sub(value, self.prompt)


class RoleRegistry:
    """Every role and task by name; loaded once at start."""

    def __init__(self, entries: Mapping[tuple[str, str | None], RoleTask]) -> None:
        self._entries = dict(entries)
        self.roles = tuple(dict.fromkeys(role for role, _ in self._entries))

    @classmethod
    def load(cls, roles: Mapping[str, RoleConfig], folder: Path) -> RoleRegistry:
        """Load the roles with their files from `folder` (`prompts/` beside the configuration).

        Raises:
            ConfigError: a prompt or schema cannot be read or is not valid.
        """
        entries: dict[tuple[str, str | None], RoleTask] = {}
        for name, role in roles.items():
            entries[name, None] = _load_task(name, None, role, role, folder)
            for task, task_config in role.tasks.items():
                entries[name, task] = _load_task(name, task, role, task_config, folder)
        return cls(entries)

    def get(self, role: str, task: str | None) -> RoleTask:
        """Return a task of a role.

        An undefined task uses the role's own prompt and schema.

        The name of an undefined task still counts in routing rules and is returned to the caller.

        Raises:
            NotFound: the role does not exist; `param` is `role`.
        """
        if role not in self.roles:
            raise NotFound("The configuration has no role of this name.", param="role")
        entry = self._entries.get((role, task))
        return entry if entry is not None else replace(self._entries[role, None], task=task)


def _load_task(
    name: str, task: str | None, role: RoleConfig, task_config: TaskConfig, folder: Path
) -> RoleTask:
    location = f"roles.{name}" if task is None else f"roles.{name}.tasks.{task}"
    prompt = task_config.prompt or role.prompt or f"{name}.md"
    schema = task_config.schema_ if task_config.schema_ is not None else role.schema_
    return RoleTask(
        role=name,
        task=task,
        prompt=_read_text(prompt, folder, location),
        model=task_config.model or role.model,
        output_schema=_load_schema(schema, folder, location),
        temperature=task_config.temperature if task_config.temperature is not None else role.temperature,
        max_tokens=task_config.max_tokens or role.max_tokens,
    )


def _read_text(text_or_file: str, folder: Path, location: str) -> str:
    """Return a prompt given inline, or the contents of the file that it names."""
    if not _FILE_NAME.fullmatch(text_or_file):
        return text_or_file
    path = folder / (text_or_file if "." in text_or_file else f"{text_or_file}.md")
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_PROMPT_CHARACTERS).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{location}.prompt: {path} cannot be read.") from error


def _load_schema(schema: dict[str, Any] | str | None, folder: Path, location: str) -> OutputSchema | None:
    if isinstance(schema, str):
        try:
            schema = json.loads(_read_text(schema if "." in schema else f"{schema}.json", folder, location))
        except ValueError as error:
            raise ConfigError(f"{location}.schema: the file is not JSON.") from error
    if schema is None:
        return None
    try:
        return OutputSchema(schema)
    except ValueError as error:
        raise ConfigError(f"{location}.schema: {error}.") from error


def _lookup(payload: Payload, path: list[str]) -> Any:
    value: Any = payload
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
