"""The roles of the configuration, their prompts and schemas read: who speaks, about what, in what form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.core.exceptions import NotFound, ValidationFailed
from gateway.domain.catalog_file import ConfigError
from gateway.domain.config.roles import RoleConfig, TaskConfig
from gateway.services.shapes import Shape

_MARK = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)(!)?(\?)?\s*\}\}")
_FILE = re.compile(r"[A-Za-z0-9][\w-]{0,100}(\.(md|txt|json))?")
_MAX_PROMPT = 256 * 1024
Payload = dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class RoleTask:
    """One task of a role, or the role where no task is named; `model` None asks the router."""

    role: str
    task: str | None
    prompt: str
    model: str | None
    shape: Shape | None
    temperature: float | None
    max_tokens: int | None

    def render(self, payload: Payload) -> str:
        """The prompt with `{{name}}` taken from `payload`; dots go inwards.

        `{{name?}}` may be missing. `{{name!}}` has to be there and stays its name: the model is given the
        payload itself in the message that follows.

        Raises:
            ValidationFailed: what the prompt needs is not in the payload; `param` says which.
        """

        def value(mark: re.Match[str]) -> str:
            found = payload if mark[1] == "payload" else _inside(payload, mark[1].split("."))
            if mark[2] and (found is not None or mark[3]):
                return f"`{mark[1]}`"
            if found is None:
                if mark[3]:
                    return ""
                raise ValidationFailed(
                    f"The role {self.role} needs {mark[1]} in the payload.", param=f"payload.{mark[1]}"
                )
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

        return _MARK.sub(value, self.prompt)


class RoleBook:
    """Every role and task by name; read once, at the start."""

    def __init__(self, entries: Mapping[tuple[str, str | None], RoleTask]) -> None:
        self._entries = dict(entries)
        self.roles = tuple(dict.fromkeys(role for role, _ in self._entries))

    @classmethod
    def load(cls, roles: Mapping[str, RoleConfig], folder: Path) -> RoleBook:
        """Roles with the files of `folder` (`prompts/` beside the configuration).

        Raises:
            ConfigError: a prompt or schema cannot be read, or the schema is none.
        """
        entries: dict[tuple[str, str | None], RoleTask] = {}
        for name, role in roles.items():
            entries[name, None] = _entry(name, None, role, role, folder)
            for task, own in role.tasks.items():
                entries[name, task] = _entry(name, task, role, own, folder)
        return cls(entries)

    def find(self, role: str, task: str | None) -> RoleTask:
        """The entry of a task; a task that the role does not define uses the role's own prompt and schema.

        The name of such a task still counts for the router's rules and is returned to the caller.

        Raises:
            NotFound: no such role; `param` is `role`.
        """
        if role not in self.roles:
            raise NotFound("There is no role of this name in the configuration.", param="role")
        entry = self._entries.get((role, task))
        return entry if entry is not None else replace(self._entries[role, None], task=task)


def _entry(name: str, task: str | None, role: RoleConfig, own: TaskConfig, folder: Path) -> RoleTask:
    place = f"roles.{name}" if task is None else f"roles.{name}.tasks.{task}"
    prompt = own.prompt or role.prompt or f"{name}.md"
    schema = own.schema_ if own.schema_ is not None else role.schema_
    return RoleTask(
        role=name,
        task=task,
        prompt=_text(prompt, folder, place),
        model=own.model or role.model,
        shape=_shape(schema, folder, place),
        temperature=own.temperature if own.temperature is not None else role.temperature,
        max_tokens=own.max_tokens or role.max_tokens,
    )


def _text(given: str, folder: Path, place: str) -> str:
    """A prompt that stands in the configuration itself, or in a file that it names."""
    if not _FILE.fullmatch(given):
        return given
    path = folder / (given if "." in given else f"{given}.md")
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_PROMPT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}.prompt: {path} cannot be read.") from error


def _shape(given: dict[str, Any] | str | None, folder: Path, place: str) -> Shape | None:
    if isinstance(given, str):
        try:
            given = json.loads(_text(given if "." in given else f"{given}.json", folder, place))
        except ValueError as error:
            raise ConfigError(f"{place}.schema: the file is not JSON.") from error
    if given is None:
        return None
    try:
        return Shape(given)
    except ValueError as error:
        raise ConfigError(f"{place}.schema: {error}.") from error


def _inside(payload: Payload, path: list[str]) -> Any:
    found: Any = payload
    for part in path:
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found
