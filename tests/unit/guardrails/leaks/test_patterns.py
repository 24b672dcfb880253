"""Secrets and personal data, and what only looks like them."""

from __future__ import annotations

import pytest

from gateway.domain.messages import Message
from gateway.guardrails.leaks.scanner import AllowedValues, LeakGuard, find_leaks
from tests.support.sample_secrets import PERSONAL, SECRETS

NOTHING = AllowedValues(())


def found(guard: LeakGuard, text: str, known: AllowedValues = NOTHING) -> list[str]:
    return find_leaks(guard, text, [], known)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("around", ["{}", "The key is {}.", 'KEY="{}"\n', "`{}`", "key:\t{}, and more"])
def test_secrets_are_found_anywhere_in_a_text(secret: str, around: str) -> None:
    assert len(found("leak", around.format(secret))) == 1


@pytest.mark.parametrize(("what", "value"), PERSONAL.items())
@pytest.mark.parametrize("around", ["{}", "It is {}.", '"{}"', "({}) and so on"])
def test_personal_data_is_found_and_described(what: str, value: str, around: str) -> None:
    assert found("personal_data", around.format(value)) == [what]


@pytest.mark.parametrize(
    "text",
    [
        "export OPENAI_API_KEY=sk-your-api-key-here",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "postgres://user:password@localhost:5432/app",
        "postgres://postgres:postgres@localhost/postgres",
        "redis://:${REDIS_PASSWORD}@cache:6379",
        "mysql://root:<password>@db/app",
        "https://example.org/docs?page=2#part and https://host:8080/path@3",
        "sk-learn-pipeline-with-many-steps-and-grid-search",
        "Authorization: Bearer <token>",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "A PEM file begins with -----BEGIN RSA PRIVATE KEY----- and then base64 follows in lines.",
        "eyJ is how the Base64 of a JSON object begins.",
        "gw_" + "a" * 38,
        "risk-free and task-oriented ghost_writer hf_transformers",
        "550e8400-e29b-41d4-a716-446655440000",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ],
)
def test_placeholders_are_not_secrets(text: str) -> None:
    assert found("leak", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # Luhn says no
        "DE89 3704 0044 0532 0130 01",
        "900101-1234567",
        "901301-1234568",  # no thirteenth month
        "000-12-3456",
        "support@shop.de and jane@example.com and git@github.com",
        "555-0123, (415) 555-0134",
        "550e8400-e29b-41d4-a716-446655440000",
        "3.14159265358979323846, 1234567890123, 2024-01-31, 192.168.100.200",
        "Version 1.2.3-4567, RFC 9110, 1,000,000,000 rows, 10-12-2024",
        "The function decorator @property and @app.get are used.",
    ],
)
def test_fictional_numbers_and_addresses_are_not_personal_data(text: str) -> None:
    assert found("personal_data", text) == []


def test_values_that_the_user_wrote_are_allowed() -> None:
    secret, mail = SECRETS["openai"], PERSONAL["an e-mail address"]
    asked = AllowedValues(
        (Message("user", f"Is {secret} well formed? Write to {mail.upper()} or +1 (415) 555-2671."),)
    )
    assert found("leak", f"{secret} is well formed.", asked) == []
    assert found("personal_data", f"To: {mail}, +1 415 555 2671", asked) == []
    assert found("leak", f"Another one: {SECRETS['openai project']}", asked) == ["an API key"]


def test_tool_results_allow_personal_data_but_no_secrets() -> None:
    secret, mail = SECRETS["github"], PERSONAL["an e-mail address"]
    shown = AllowedValues(
        (Message("tool", f"{mail} {secret}", tool_call_id="1"), Message("system", "Ask bob@firm.de."))
    )
    assert found("personal_data", f"{mail} or bob@firm.de", shown) == []
    assert found("leak", secret, shown) == ["a GitHub token"]


def test_each_kind_is_described_once() -> None:
    text = "; ".join([*PERSONAL.values(), *PERSONAL.values()])
    assert sorted(found("personal_data", text)) == sorted(PERSONAL)
