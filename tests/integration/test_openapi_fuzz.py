"""The whole OpenAPI page, believed word for word: generated requests, right and wrong, from every caller.

Each answer has to have a status that the page names, of the kind and the shape it says, and never 5xx; what
breaks the page's schema has to be refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.support.gateway import PASSWORD, Gateway, set_role

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
CONFIG: dict[str, object] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {"mock": {"provider": "mock", "model": "mock", "price": {"input": 1, "output": 2}}},
    "routing": {"light": "mock", "heavy": "mock"},
    "guardrails": {"people": {"injection": "off"}},
    # Thousands of requests of one account are the point here.
    "tiers": {"free": {}, "pro": {}},
}
# It signs the caller out: whatever came after it would only be refused.
LAST = "DELETE /api/user/sessions"


@pytest.fixture
def gateway_config() -> dict[str, Any]:
    return CONFIG


async def prepare(gateway: Gateway, kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """(headers of the caller, ids of things that are there to be found)."""
    person = await gateway.sign_up()
    if kind == "admin":
        await set_role(gateway, person)
    answer = await gateway.http.post("/api/chat", json={"message": "hi"}, headers=person.headers)
    key = await gateway.http.post("/api/user/api-keys", json={"name": "mine"}, headers=person.headers)
    await gateway.http.post("/api/auth/login", json={"email": person.email, "password": PASSWORD})
    sessions = (await gateway.http.get("/api/user/sessions", headers=person.headers)).json()["items"]
    ids = {
        "conversation_id": answer.json()["conversation_id"],
        "message_id": answer.json()["message"]["id"],
        "key_id": (
            await gateway.http.post("/api/user/api-keys", json={"name": "x"}, headers=person.headers)
        ).json()["id"],
        "session_id": next(one["id"] for one in sessions if not one["current"]),
        "user_id": (await gateway.sign_up()).id,
        "name": "mock",
    }
    ids["response_id"] = "resp_" + ids["message_id"].replace("-", "")
    return ({"x-api-key": key.json()["secret"]} if kind == "key" else person.headers), ids


class Fuzz:
    """Runs in a thread of its own, beside the server's event loop."""

    def __init__(self, gateway: Gateway, headers: dict[str, str], ids: dict[str, str], examples: int) -> None:
        self.examples = examples
        self.url = gateway.url
        self.schema = schemathesis.openapi.from_dict(gateway.app.openapi())
        self.headers = headers
        self.ids = ids
        self.problems: dict[str, str] = {}
        self.statuses: dict[str, Counter[int]] = {}

    def run(self) -> None:
        operations = [result.ok() for result in self.schema.get_all_operations()]
        for operation in sorted(operations, key=lambda one: one.label == LAST):
            self.statuses[operation.label] = Counter()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._try(operation, mode)

    def _try(self, operation: Any, mode: Any) -> None:
        calls = 0

        @settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: Any) -> None:
            nonlocal calls
            calls += 1
            known = {name: self.ids[name] for name in case.path_parameters or () if name in self.ids}
            if calls % 2 and mode == GenerationMode.POSITIVE and known:
                case.path_parameters.update(known)
            self._call(operation.label, case)

        try:
            call()
        except Unsatisfiable:
            # There is nothing about this operation that could be wrong.
            assert mode == GenerationMode.NEGATIVE

    def _call(self, label: str, case: Any) -> None:
        answer = case.call(base_url=self.url, headers=self.headers)
        self.statuses[label][answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                name = f"{label} {answer.status_code} {type(failure).__name__}"
                self.problems.setdefault(
                    name, f"{failure}\n{case.as_curl_command()[:1000]}\n{answer.text[:500]}"
                )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("examples", [5, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("kind", "welcome"),
    [
        ("admin", 29),
        ("key", 9),
        pytest.param("user", 22, marks=pytest.mark.slow),
    ],  # administrators may all that
)
async def test_every_answer_is_one_that_the_page_promises(
    gateway: Gateway, kind: str, welcome: int, examples: int
) -> None:
    headers, ids = await prepare(gateway, kind)
    fuzz = Fuzz(gateway, headers, ids, examples)
    await asyncio.to_thread(fuzz.run)
    assert not fuzz.problems, "\n\n".join(f"{name}: {text}" for name, text in fuzz.problems.items())
    # Refusals alone would prove little: so many operations have also done what they are there for.
    done = [label for label, seen in fuzz.statuses.items() if any(status < 300 for status in seen)]
    assert len(done) >= welcome, fuzz.statuses
