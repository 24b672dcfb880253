"""What is looked for in answers. The forms are public; docs/SECURITY.md says whose lists they are from."""

from __future__ import annotations

import re

from gateway.guardrails.leak_proofs import (
    address_with_password,
    aws_secret,
    card,
    email,
    gateway_key,
    iban,
    json_web_token,
    phone,
    private_key,
    random_token,
    resident_number,
    social_security_number,
    varied,
)
from gateway.guardrails.leak_shapes import WORD, AnyOf, Piece, Run, Shape, Shapes

_BASE64URL = "A-Za-z0-9_-"
_NUMBER = r"A-Za-z0-9_./+\-"
_GAP = Run(r"\s\"'`:=>,\\", 1, 8)
_JOINT = Run("_. -", 0, 1)


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
_FOUR = Run("0-9", 4, 4)
_SEPARATOR = Run(" -", 1, 1)


def _key(label: str, *pieces: Piece, after: str = "") -> Shape:
    return Shape("secret", label, pieces, varied, after=after)


def _exact(label: str, prefix: str | AnyOf, chars: str, length: int) -> Shape:
    """A key of a fixed length: one character more, and it is something else."""
    return _key(label, prefix, Run(chars, length, length), after=chars)


def _card(*pieces: Piece) -> Shape:
    return Shape("personal", "a payment card's number", pieces, card, before=_NUMBER, after=WORD)


def _phone(*pieces: Piece) -> Shape:
    return Shape("personal", "a phone number", pieces, phone, before=_NUMBER, after=rf"{WORD}\-")


SECRETS = Shapes(
    (
        Shape("secret", "an Anthropic key", ("sk-ant-", Run(_BASE64URL, 20, 200)), random_token),
        Shape("secret", "an API key", ("sk-", Run(_BASE64URL, 20, 200)), random_token),
        Shape(
            "secret",
            "a Stripe key",
            (AnyOf(("sk_", "rk_")), AnyOf(("live_", "test_")), Run(WORD, 10, 120)),
            random_token,
        ),
        Shape("secret", "a Stripe webhook secret", ("whsec_", Run(f"{WORD}+/=", 24, 80)), random_token),
        _exact("a Google API key", "AIza", _BASE64URL, 35),
        _exact("a Google client secret", "GOCSPX-", _BASE64URL, 28),
        _key("a Google access token", "ya29.", Run(_BASE64URL, 30, 300)),
        Shape(
            "secret",
            "an AWS access key",
            (AnyOf(("AKIA", "ASIA", "ABIA", "ACCA")), Run("A-Z2-7", 16, 16)),
            lambda text: len(set(text[4:])) > 5 and not text.endswith("EXAMPLE"),
            after=WORD,
        ),
        Shape(
            "secret",
            "an AWS secret key",
            ("secret", _JOINT, AnyOf(("access", "")), _JOINT, "key", _GAP, Run(f"{WORD}/+", 40, 40)),
            aws_secret,
            after=f"{WORD}/+=",
            any_case=True,
        ),
        _key("a GitHub token", "gh", AnyOf(("p_", "o_", "u_", "s_", "r_")), Run(WORD, 36, 80)),
        _key("a GitHub token", "github_pat_", Run(f"{WORD}_", 50, 120)),
        _key("a GitLab token", "glpat-", Run(_BASE64URL, 20, 60)),
        Shape(
            "secret",
            "a Slack token",
            ("xox", Run("abeoprs", 1, 1), "-", Run(f"{WORD}-", 20, 250)),
            lambda text: sum(c.isdigit() for c in text) > 5 and varied(text),
        ),
        Shape("secret", "a Slack token", ("xapp-", Run("0-9", 1, 2), "-", Run(f"{WORD}-", 20, 250)), varied),
        _key(
            "a Slack webhook",
            "https://hooks.slack.com/",
            AnyOf(("services", "workflows")),
            "/T",
            Run(f"{WORD}/", 30, 80),
        ),
        _exact("a Hugging Face token", "hf_", WORD, 34),
        Shape("secret", "a key of this gateway", ("gw_", Run(WORD, 38, 38)), gateway_key, after=WORD),
        _exact("an npm token", "npm_", WORD, 36),
        _key("a PyPI token", "pypi-AgE", Run(_BASE64URL, 50, 300)),
        _key("a SendGrid key", "SG.", Run(_BASE64URL, 16, 40), ".", Run(_BASE64URL, 16, 64)),
        _key("a DigitalOcean token", "do", AnyOf(("p", "o", "r")), "_v1_", Run("a-f0-9", 64, 64)),
        Shape("secret", "a Groq key", ("gsk_", Run(WORD, 40, 80)), random_token),
        Shape("secret", "an xAI key", ("xai-", Run(WORD, 40, 120)), random_token),
        Shape("secret", "a Replicate token", ("r8_", Run(WORD, 37, 40)), random_token),
        Shape("secret", "a LangSmith key", ("lsv2_", Run("a-z", 2, 2), "_", Run(f"{WORD}_", 32, 60)), varied),
        _key("an Azure storage key", "AccountKey=", Run(f"{WORD}/+", 60, 100)),
        Shape(
            "secret",
            "a private key",
            (
                "-----BEGIN ",
                AnyOf(("", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP ")),
                "PRIVATE KEY",
                AnyOf(("", " BLOCK")),
                "-----",
                # Line ends, also as JSON writes them, and a header or two before the body.
                Run(rf"\s\\{WORD}/+=:,.-", 64, 64),
            ),
            private_key,
            before="-",
        ),
        Shape(
            "secret",
            "a JSON Web Token",
            ("eyJ", Run(_BASE64URL, 12, 600), ".eyJ", Run(_BASE64URL, 12, 12)),
            json_web_token,
        ),
        Shape(
            "secret",
            "a bearer token",
            ("bearer", Run(r"\s", 1, 2), Run(f"{WORD}._~+/=-", 20, 300)),
            lambda text: random_token(text[7:]),
            any_case=True,
        ),
        Shape(
            "secret",
            "an address with its password",
            (
                _SCHEMES,
                _DRIVERS,
                "://",
                Run(r"^\s:/@\"'<>", 0, 64),
                ":",
                Run(r"^\s/@\"'<>", 3, 128),
                "@",
                Run(WORD, 1, 1),
            ),
            address_with_password,
        ),
    )
)

PERSONAL = Shapes(
    (
        Shape(
            "personal",
            "an e-mail address",
            (Run("A-Za-z0-9._%+-", 1, 64), "@", Run("A-Za-z0-9.-", 4, 190)),
            email,
            before="A-Za-z0-9._%+@/-",
        ),
        Shape(
            "personal",
            "a Korean resident number",
            (Run("0-9", 6, 6), AnyOf(("-", "")), Run("1-8", 1, 1), Run("0-9", 6, 6)),
            resident_number,
            before=_NUMBER,
            after="0-9",
        ),
        Shape(
            "personal",
            "a US social security number",
            (Run("0-9", 3, 3), "-", Run("0-9", 2, 2), "-", Run("0-9", 4, 4)),
            social_security_number,
            before=_NUMBER,
            after=r"0-9A-Za-z\-",
        ),
        _card(Run("0-9", 13, 19)),
        _card(_FOUR, _SEPARATOR, _FOUR, _SEPARATOR, _FOUR, _SEPARATOR, _FOUR),
        _card(_FOUR, _SEPARATOR, Run("0-9", 6, 6), _SEPARATOR, Run("0-9", 4, 5)),
        Shape(
            "personal",
            "a bank account's number",
            (Run("A-Z", 2, 2), Run("0-9", 2, 2), Run("A-Z0-9 ", 11, 40)),
            iban,
        ),
        _phone("+", Run("1-9", 1, 1), Run(r"0-9 ().\-", 8, 20)),
        _phone("01", Run("016789", 1, 1), Run(r" .\-", 0, 1), Run("0-9", 3, 4), Run(r" .\-", 0, 1), _FOUR),
        _phone(
            AnyOf(("(", "")),
            Run("2-9", 1, 1),
            Run("0-9", 2, 2),
            _AREA_END,
            Run("2-9", 1, 1),
            Run("0-9", 2, 2),
            Run(r".\-", 1, 1),
            _FOUR,
        ),
    )
)
