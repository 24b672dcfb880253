"""The Postman collection is up to date with the OpenAPI page, and its requests are valid."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("postman")


@pytest.fixture(scope="module")
def page(script: ModuleType) -> dict[str, Any]:
    made: dict[str, Any] = script.openapi()
    return made


def test_the_collection_is_up_to_date(script: ModuleType, page: dict[str, Any]) -> None:
    kept = json.loads(script.TARGET.read_text(encoding="utf-8"))
    assert kept == script.collection(page), "run `python scripts/postman.py`"


def test_every_operation_is_included_with_a_valid_body(script: ModuleType, page: dict[str, Any]) -> None:
    items = [item for folder in script.collection(page)["item"] for item in folder["item"]]
    operations = [
        (method.upper(), path, operation)
        for path, methods in page["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(items) == len(operations)
    sent = {(item["request"]["method"], item["request"]["url"]["raw"]): item["request"] for item in items}
    for method, path, operation in operations:
        request = sent[method, "{{baseUrl}}" + path.replace("{", ":").replace("}", "")]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            schema = {**content["schema"], "components": page["components"]}
            Draft202012Validator(schema).validate(json.loads(request["body"]["raw"]))
