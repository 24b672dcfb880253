"""Configured roles: prompts, schemas and tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.exceptions import NotFound, ValidationFailed
from gateway.domain.config.loader import ConfigError
from gateway.domain.config.roles import RoleConfig
from gateway.services.operations.config_file import load_catalog
from gateway.services.roles.output_schema import OutputSchema
from gateway.services.roles.registry import Payload, RoleRegistry
from tests.support.paths import PROJECT

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def book(folder: Path, **roles: dict[str, Any]) -> RoleRegistry:
    return RoleRegistry.load({name: RoleConfig.model_validate(role) for name, role in roles.items()}, folder)


def test_a_prompt_is_a_file_or_the_text_itself(tmp_path: Path) -> None:
    (tmp_path / "writer.md").write_text("Write about {{topic}}.\n")

    found = book(tmp_path, writer={}, other={"prompt": "Say {{payload}}, please."})

    assert found.get("writer", None).render({"topic": "tea"}) == "Write about tea."
    assert found.get("other", None).render("hello") == "Say hello, please."


def test_a_task_inherits_from_its_role(tmp_path: Path) -> None:
    role = {
        "prompt": "Of the role.",
        "model": "fast",
        "temperature": 0.2,
        "schema": SCHEMA,
        "tasks": {"short": {"max_tokens": 50, "prompt": "Of the task."}},
    }

    task = book(tmp_path, writer=role).get("writer", "short")

    assert (task.prompt, task.model, task.temperature, task.max_tokens) == ("Of the task.", "fast", 0.2, 50)
    assert task.output_schema is not None
    assert task.output_schema.schema == SCHEMA


def test_a_role_that_is_not_configured_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as raised:
        book(tmp_path, writer={"prompt": "Say it."}).get("nobody", None)

    assert raised.value.param == "role"


def test_a_task_that_the_role_does_not_define_uses_the_roles_own_prompt(tmp_path: Path) -> None:
    role = {"prompt": "Of the role.", "max_tokens": 9, "tasks": {"short": {"prompt": "Of the task."}}}

    entry = book(tmp_path, writer=role).get("writer", "marketing_brief")

    assert (entry.task, entry.prompt, entry.max_tokens) == ("marketing_brief", "Of the role.", 9)


@pytest.mark.parametrize(
    ("role", "task"),
    [("brief", "marketing_brief"), ("copywriter", "product_copy"), ("vision", "image_prompt")],
)
@pytest.mark.parametrize(
    "payload", [{"product": "Stoneware mug"}, {"campaign": "Spring"}, "A mug of stoneware."]
)
def test_the_shipped_tasks_take_any_payload(role: str, task: str, payload: Payload) -> None:
    catalog = load_catalog(PROJECT / "provider_config.yaml")

    entry = RoleRegistry.load(catalog.roles, PROJECT / "prompts").get(role, task)

    assert entry.output_schema is not None
    assert "{{" not in entry.render(payload)


def test_a_required_value_must_be_in_the_payload(tmp_path: Path) -> None:
    entry = book(tmp_path, writer={"prompt": "{{a}} {{b.c}} {{d?}}|"}).get("writer", None)

    assert entry.render({"a": 1, "b": {"c": ["x"]}}) == '1 ["x"] |'
    with pytest.raises(ValidationFailed) as raised:
        entry.render({"a": 1, "b": "text"})
    assert raised.value.param == "payload.b.c"


def test_placeholders_in_values_are_not_expanded(tmp_path: Path) -> None:
    entry = book(tmp_path, writer={"prompt": "{{a}}"}).get("writer", None)

    assert entry.render({"a": "{{secret}}"}) == "{{secret}}"


@pytest.mark.parametrize(
    "role",
    [
        {"prompt": "missing.md"},
        {"prompt": "Say it.", "schema": "missing.json"},
        {"prompt": "Say it.", "schema": {"type": "array"}},
        {"prompt": "Say it.", "schema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
    ],
)
def test_an_invalid_role_prevents_the_start(tmp_path: Path, role: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"roles\.writer"):
        book(tmp_path, writer=role)


def test_a_name_with_slashes_is_text_and_never_a_file(tmp_path: Path) -> None:
    assert book(tmp_path, writer={"prompt": "../secret.md"}).get("writer", None).prompt == "../secret.md"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '```json\n{"a": 1}\n```',
        'Here it is: {"a": 1}. Anything else?',
        json.dumps({"a": 1}),
        'It looks like {a: number}, so: {"a": 1}',
        '{"b": {"a": 2}} was wrong; {"a": 1} is right.',
    ],
)
def test_an_object_is_extracted_from_surrounding_text(text: str) -> None:
    assert OutputSchema(SCHEMA).extract(text) == ({"a": 1}, "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no object", "no JSON object"),
        ('{"a": ', "not valid JSON"),
        ('{"a": "secret"}', "a violates «type»"),
        ("{}", "the object violates «required»"),
        ("{" * 100_000, "not valid JSON"),
        ('{"a": NaN}', "not valid JSON"),
        ('{"a": 1e999}', "not valid JSON"),
        ('{"a": 1, "b": "\\ud800"}', "not valid JSON"),
        ('{"b": {"a": 1}}', "the object violates «required»"),
    ],
)
def test_violations_use_the_schemas_terms(text: str, complaint: str) -> None:
    data, said = OutputSchema(SCHEMA).extract(text)

    assert data is None
    assert complaint in said
    assert "secret" not in said
