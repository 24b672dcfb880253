"""The doctor's findings about the environment, with remedies."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from gateway.cli.checks import host
from gateway.cli.checks.finding import Finding
from gateway.cli.doctor import _missing_models
from gateway.cli.models import check_providers, missing_models
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from tests.support.upstreams.ollama_server import OllamaUpstream
from tests.support.upstreams.otlp_server import OtlpCollector
from tests.support.upstreams.smtp_server import SmtpServer, certificate_for_localhost, smtp_server


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "good", "cure"),
    [(50 * 1024**3, True, ""), (1024**3, None, "Free some space"), (100 * 1024**2, False, "larger disk")],
)
def test_low_disk_space_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, good: bool | None, cure: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    found = host.check_disk(settings(data_dir=tmp_path / "not" / "there" / "yet"))
    assert found.ok is good
    assert cure in found.message


@pytest.mark.parametrize(
    ("ahead", "good", "words"),
    [(0.2, True, "agrees"), (-3.0, None, "behind"), (40.0, False, "ahead of"), (-40.0, False, "NTP")],
)
def test_clock_skew_is_reported(
    monkeypatch: pytest.MonkeyPatch, ahead: float, good: bool | None, words: str
) -> None:
    monkeypatch.setattr(host, "clock_offset", lambda url: ahead)
    found = host.check_clock(settings())
    assert found is not None
    assert (found.ok, words in found.message) == (good, True)


async def test_clock_of_the_database_is_read(database_url: str) -> None:
    found = await asyncio.to_thread(host.check_clock, settings(database_url=database_url))
    assert found is not None
    assert found.ok is True, found
    nowhere = "postgresql+asyncpg://nobody@127.0.0.1:1/none"
    assert await asyncio.to_thread(host.check_clock, settings(database_url=nowhere)) is None


async def mail_finding(port: int, **given: Any) -> Finding:
    made = settings(smtp_host="localhost", smtp_port=port, smtp_from="a@example.org", **given)
    return await asyncio.to_thread(host.check_mail, made)


async def test_mail_server_is_checked_without_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate_for_localhost(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with smtp_server(SmtpServer(context=context)) as server:
        found = await mail_finding(server.port, smtp_user="me", smtp_password="secret")
        assert (found.ok, server.mails, len(server.logins)) == (True, [], 1)


async def test_each_mail_server_failure_has_its_remedy(tmp_path: Path) -> None:
    assert "SMTP_PORT" in (await mail_finding(closed_port())).message
    async with smtp_server(SmtpServer()) as bare:
        assert "SMTP_TLS=implicit" in (await mail_finding(bare.port)).message
        assert "port 587 is starttls" in (await mail_finding(bare.port, smtp_tls="implicit")).message
        assert (await mail_finding(bare.port, smtp_tls="none")).ok is True
    context: ssl.SSLContext = certificate_for_localhost(tmp_path)[0]  # which nobody trusts
    async with smtp_server(SmtpServer(context=context)) as server:
        assert "certificate" in (await mail_finding(server.port)).message


def test_mailbox_folder_is_named_without_a_mail_server(tmp_path: Path) -> None:
    found = host.check_mail(settings(data_dir=tmp_path))
    assert (found.ok, "mailbox" in found.message, "SMTP_HOST" in found.message) == (None, True, True)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "HEADERS", "PROTOCOL"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    for name in ("TRACING", "API_KEY"):
        monkeypatch.delenv(f"LANGSMITH_{name}", raising=False)
    return monkeypatch


def test_collector_is_checked_with_the_configured_headers(untraced: pytest.MonkeyPatch) -> None:
    assert [found.ok for found in host.check_tracing()] == [None]
    with OtlpCollector() as collector:
        untraced.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        untraced.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc,x-more=1")
        [found] = host.check_tracing()
        assert found.ok is True
        [(path, headers)] = collector.posts
        assert (path, headers["authorization"], headers["x-more"]) == ("/v1/traces", "Basic abc", "1")


def test_failing_collector_is_reported_with_its_remedy(untraced: pytest.MonkeyPatch) -> None:
    untraced.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert "4318" in next(iter(host.check_tracing())).message
    answers: dict[int, str] = {
        401: "OTEL_EXPORTER_OTLP_HEADERS",
        404: "/v1/traces is appended",
        500: "HTTP 500",
    }
    for status, cure in answers.items():
        untraced.setattr(httpx, "post", _answering(status))
        assert cure in next(iter(host.check_tracing())).message
    untraced.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert "http/protobuf" in next(iter(host.check_tracing())).message
    untraced.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    untraced.setenv("LANGSMITH_TRACING", "true")
    assert "LANGSMITH_API_KEY" in next(iter(host.check_tracing())).message


def _answering(status: int) -> Callable[..., httpx.Response]:
    return lambda url, **options: httpx.Response(status)


async def test_ollama_models_that_are_not_pulled_are_reported() -> None:
    async with OllamaUpstream() as up:
        up.pulled = ("llama3.2:3b", "mistral:latest")
        catalog = Catalog.model_validate(
            {
                "providers": {"ollama": {"type": "ollama", "base_url": up.url}},
                "models": {
                    name: {"provider": "ollama", "model": name}
                    for name in ("llama3.2:3b", "mistral", "qwen2.5:7b")
                },
            }
        )
        found = await check_providers(catalog, "")
        lacking = await missing_models(catalog, found)
        assert lacking == {"ollama": ["qwen2.5:7b"]}
        [finding] = _missing_models(lacking)
        assert "`ollama pull qwen2.5:7b`" in finding.message
        up.pulled = (*up.pulled, "qwen2.5:7b")
        [finding] = _missing_models(await missing_models(catalog, found))
        assert finding.ok is True
