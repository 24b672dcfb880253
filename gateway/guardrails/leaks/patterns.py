"""Patterns of secrets and personal data. Sources: docs/SECURITY.md."""

from __future__ import annotations

import re

from gateway.guardrails.leaks.pattern_set import (
    WORD,
    AnyOf,
    CharacterRun,
    LeakPattern,
    PatternPart,
    PatternSet,
)
from gateway.guardrails.leaks.validators import (
    is_aws_secret,
    is_gateway_key,
    is_iban,
    is_json_web_token,
    is_payment_card,
    is_personal_email,
    is_phone_number,
    is_private_key,
    is_random_token,
    is_resident_number,
    is_social_security_number,
    is_url_with_password,
    is_varied,
)

_BASE64URL = "A-Za-z0-9_-"
_NUMBER_CHARACTERS = r"A-Za-z0-9_./+\-"
_GAP = CharacterRun(r"\s\"'`:=>,\\", 1, 8)
_OPTIONAL_SEPARATOR = CharacterRun("_. -", 0, 1)


_SCHEMES = AnyOf(
    tuple(
        re.findall(
            r"\w+",
            "postgres postgresql mysql mariadb mongodb redis rediss amqp amqps mssql sqlserver clickhouse "
            "cockroachdb ldap ldaps ftp sftp smtp smtps http https",
        )
    )
)
_DRIVERS = AnyOf(("", "+asyncpg", "+psycopg", "+psycopg2", "+pymysql", "+aiomysql", "+srv", "+pyodbc"))
_AREA_END = AnyOf((") ", ")", "-", "."))
_FOUR_DIGITS = CharacterRun("0-9", 4, 4)
_SEPARATOR = CharacterRun(" -", 1, 1)


def _key(label: str, *pieces: PatternPart, after: str = "") -> LeakPattern:
    return LeakPattern("secret", label, pieces, is_varied, not_before=after)


def _exact(label: str, prefix: str | AnyOf, chars: str, length: int) -> LeakPattern:
    """A key of fixed length, not followed by more of its characters."""
    return _key(label, prefix, CharacterRun(chars, length, length), after=chars)


def _card(*pieces: PatternPart) -> LeakPattern:
    return LeakPattern(
        "personal",
        "a payment card's number",
        pieces,
        is_payment_card,
        not_after=_NUMBER_CHARACTERS,
        not_before=WORD,
    )


def _phone(*pieces: PatternPart) -> LeakPattern:
    return LeakPattern(
        "personal",
        "a phone number",
        pieces,
        is_phone_number,
        not_after=_NUMBER_CHARACTERS,
        not_before=rf"{WORD}\-",
    )


SECRETS = PatternSet(
    (
        LeakPattern(
            "secret", "an Anthropic key", ("sk-ant-", CharacterRun(_BASE64URL, 20, 200)), is_random_token
        ),
        LeakPattern("secret", "an API key", ("sk-", CharacterRun(_BASE64URL, 20, 200)), is_random_token),
        LeakPattern(
            "secret",
            "a Stripe key",
            (AnyOf(("sk_", "rk_")), AnyOf(("live_", "test_")), CharacterRun(WORD, 10, 120)),
            is_random_token,
        ),
        LeakPattern(
            "secret",
            "a Stripe webhook secret",
            ("whsec_", CharacterRun(f"{WORD}+/=", 24, 80)),
            is_random_token,
        ),
        _exact("a Google API key", "AIza", _BASE64URL, 35),
        _exact("a Google client secret", "GOCSPX-", _BASE64URL, 28),
        _key("a Google access token", "ya29.", CharacterRun(_BASE64URL, 30, 300)),
        LeakPattern(
            "secret",
            "an AWS access key",
            (AnyOf(("AKIA", "ASIA", "ABIA", "ACCA")), CharacterRun("A-Z2-7", 16, 16)),
            lambda text: len(set(text[4:])) > 5 and not text.endswith("EXAMPLE"),
            not_before=WORD,
        ),
        LeakPattern(
            "secret",
            "an AWS secret key",
            (
                "secret",
                _OPTIONAL_SEPARATOR,
                AnyOf(("access", "")),
                _OPTIONAL_SEPARATOR,
                "key",
                _GAP,
                CharacterRun(f"{WORD}/+", 40, 40),
            ),
            is_aws_secret,
            not_before=f"{WORD}/+=",
            any_case=True,
        ),
        _key("a GitHub token", "gh", AnyOf(("p_", "o_", "u_", "s_", "r_")), CharacterRun(WORD, 36, 80)),
        _key("a GitHub token", "github_pat_", CharacterRun(f"{WORD}_", 50, 120)),
        _key("a GitLab token", "glpat-", CharacterRun(_BASE64URL, 20, 60)),
        LeakPattern(
            "secret",
            "a Slack token",
            ("xox", CharacterRun("abeoprs", 1, 1), "-", CharacterRun(f"{WORD}-", 20, 250)),
            lambda text: sum(c.isdigit() for c in text) > 5 and is_varied(text),
        ),
        LeakPattern(
            "secret",
            "a Slack token",
            ("xapp-", CharacterRun("0-9", 1, 2), "-", CharacterRun(f"{WORD}-", 20, 250)),
            is_varied,
        ),
        _key(
            "a Slack webhook",
            "https://hooks.slack.com/",
            AnyOf(("services", "workflows")),
            "/T",
            CharacterRun(f"{WORD}/", 30, 80),
        ),
        _exact("a Hugging Face token", "hf_", WORD, 34),
        LeakPattern(
            "secret",
            "an API key of this gateway",
            ("gw_", CharacterRun(WORD, 38, 38)),
            is_gateway_key,
            not_before=WORD,
        ),
        _exact("an npm token", "npm_", WORD, 36),
        _key("a PyPI token", "pypi-AgE", CharacterRun(_BASE64URL, 50, 300)),
        _key(
            "a SendGrid key", "SG.", CharacterRun(_BASE64URL, 16, 40), ".", CharacterRun(_BASE64URL, 16, 64)
        ),
        _key("a DigitalOcean token", "do", AnyOf(("p", "o", "r")), "_v1_", CharacterRun("a-f0-9", 64, 64)),
        LeakPattern("secret", "a Groq key", ("gsk_", CharacterRun(WORD, 40, 80)), is_random_token),
        LeakPattern("secret", "an xAI key", ("xai-", CharacterRun(WORD, 40, 120)), is_random_token),
        LeakPattern("secret", "a Replicate token", ("r8_", CharacterRun(WORD, 37, 40)), is_random_token),
        LeakPattern(
            "secret",
            "a LangSmith key",
            ("lsv2_", CharacterRun("a-z", 2, 2), "_", CharacterRun(f"{WORD}_", 32, 60)),
            is_varied,
        ),
        _key("an Azure storage key", "AccountKey=", CharacterRun(f"{WORD}/+", 60, 100)),
        LeakPattern(
            "secret",
            "a private key",
            (
                "-----BEGIN ",
                AnyOf(("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ")),
                "PRIVATE KEY",
                AnyOf(("", " BLOCK")),
                "-----",
                # Line ends (also as JSON escapes) and optional headers before the body.
                CharacterRun(rf"\s\\{WORD}/+=:,.-", 64, 64),
            ),
            is_private_key,
            not_after="-",
        ),
        LeakPattern(
            "secret",
            "a JSON Web Token",
            ("eyJ", CharacterRun(_BASE64URL, 12, 600), ".eyJ", CharacterRun(_BASE64URL, 12, 12)),
            is_json_web_token,
        ),
        LeakPattern(
            "secret",
            "a bearer token",
            ("bearer", CharacterRun(r"\s", 1, 2), CharacterRun(f"{WORD}._~+/=-", 20, 300)),
            lambda text: is_random_token(text[7:]),
            any_case=True,
        ),
        LeakPattern(
            "secret",
            "a URL with its password",
            (
                _SCHEMES,
                _DRIVERS,
                "://",
                CharacterRun(r"^\s:/@\"'<>", 0, 64),
                ":",
                CharacterRun(r"^\s/@\"'<>", 3, 128),
                "@",
                CharacterRun(WORD, 1, 1),
            ),
            is_url_with_password,
        ),
    )
)

PERSONAL_DATA = PatternSet(
    (
        LeakPattern(
            "personal",
            "an e-mail address",
            (CharacterRun("A-Za-z0-9._%+-", 1, 64), "@", CharacterRun("A-Za-z0-9.-", 4, 190)),
            is_personal_email,
            not_after="A-Za-z0-9._%+@/-",
        ),
        LeakPattern(
            "personal",
            "a Korean resident number",
            (
                CharacterRun("0-9", 6, 6),
                AnyOf(("-", "")),
                CharacterRun("1-8", 1, 1),
                CharacterRun("0-9", 6, 6),
            ),
            is_resident_number,
            not_after=_NUMBER_CHARACTERS,
            not_before="0-9",
        ),
        LeakPattern(
            "personal",
            "a US social security number",
            (CharacterRun("0-9", 3, 3), "-", CharacterRun("0-9", 2, 2), "-", CharacterRun("0-9", 4, 4)),
            is_social_security_number,
            not_after=_NUMBER_CHARACTERS,
            not_before=r"0-9A-Za-z\-",
        ),
        _card(CharacterRun("0-9", 13, 19)),
        _card(_FOUR_DIGITS, _SEPARATOR, _FOUR_DIGITS, _SEPARATOR, _FOUR_DIGITS, _SEPARATOR, _FOUR_DIGITS),
        _card(_FOUR_DIGITS, _SEPARATOR, CharacterRun("0-9", 6, 6), _SEPARATOR, CharacterRun("0-9", 4, 5)),
        LeakPattern(
            "personal",
            "a bank account's number",
            (CharacterRun("A-Z", 2, 2), CharacterRun("0-9", 2, 2), CharacterRun("A-Z0-9 ", 11, 40)),
            is_iban,
        ),
        _phone("+", CharacterRun("1-9", 1, 1), CharacterRun(r"0-9 ().\-", 8, 20)),
        _phone(
            "01",
            CharacterRun("016789", 1, 1),
            CharacterRun(r" .\-", 0, 1),
            CharacterRun("0-9", 3, 4),
            CharacterRun(r" .\-", 0, 1),
            _FOUR_DIGITS,
        ),
        _phone(
            AnyOf(("(", "")),
            CharacterRun("2-9", 1, 1),
            CharacterRun("0-9", 2, 2),
            _AREA_END,
            CharacterRun("2-9", 1, 1),
            CharacterRun("0-9", 2, 2),
            CharacterRun(r".\-", 1, 1),
            _FOUR_DIGITS,
        ),
    )
)
