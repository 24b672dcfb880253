"""The examples of CONTRIBUTING.md, applied to a copy of the project and used over HTTP."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.gateway_process import GatewayProcess
from tests.support.paths import PROJECT

pytestmark = pytest.mark.timeout(300)

PASSWORD = "correct horse battery staple"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY----- MIIE"
# Files that the command line, the migrations and the configuration need besides the program.
_COPIED = ("gateway", "alembic", "alembic.ini", "prompts", "workflows", "provider_config.yaml")
_BLOCK = re.compile(r"^`(?P<path>[\w./-]+)`:\n\n```(?P<kind>python|diff)\n(?P<text>.*?)^```$", re.M | re.S)
_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.M | re.S)


def examples() -> str:
    page = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return page.split("\n## Examples\n", 1)[1].split("\n## ", 1)[0]


def changed_files(section: str) -> list[str]:
    return [
        block["path"]
        for block in _BLOCK.finditer(examples().split(f"### {section}", 1)[1].split("\n### ")[0])
    ]


def apply_diff(text: str, diff: str) -> str:
    """Insert the lines with `+` below their context, which must be unique in the text."""
    lines = diff.splitlines(keepends=True)
    context = "".join(line[1:] for line in lines if line.startswith(" "))
    added = "".join(line[1:] for line in lines if line.startswith("+"))
    assert text.count("\n" + context) == 1, f"the context is missing or not unique: {context!r}"
    return text.replace("\n" + context, "\n" + context + added)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all examples applied."""
    root = tmp_path_factory.mktemp("project")
    for name in _COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("dist"))
        else:
            shutil.copy(source, root / name)
    for block in _BLOCK.finditer(examples()):
        path = root / block["path"]
        if block["kind"] == "python":
            path.parent.mkdir(exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
        else:
            original = path if path.exists() else PROJECT / block["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(apply_diff(original.read_text(encoding="utf-8"), block["text"]), encoding="utf-8")
    return root


def configuration(**sections: Any) -> str:
    """The YAML of all examples as one configuration."""
    merged: dict[str, Any] = {"routing": {"light": "mock", "heavy": "mock"}}
    for block in _YAML.findall(examples()):
        merged |= yaml.safe_load(block)
    merged["models"]["failing"] = {"provider": "mock", "model": "fail"}
    return yaml.safe_dump(merged | sections)


@contextmanager
def running_gateway(project: Path, database_url: str, redis_url: str, data: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(
        "--data-dir",
        str(data),
        cwd=project,
        PYTHONPATH=str(project),
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        PROVIDER_CONFIG=str(project / "examples.yaml"),
        ADMIN_PASSWORD=PASSWORD,
    ) as process:
        yield process


class Gateway:
    """The running copy, called with the first API key."""

    def __init__(self, http: httpx.AsyncClient, key: str) -> None:
        self.http = http
        self.key = {"authorization": f"Bearer {key}"}

    async def chat(self, text: str, **fields: Any) -> httpx.Response:
        body = {"model": "mock", "messages": [{"role": "user", "content": text}], **fields}
        return await self.http.post("/v1/chat/completions", json=body, headers=self.key)

    async def as_admin(self, method: str, path: str) -> httpx.Response:
        login = {"email": "admin@gateway.localhost", "password": PASSWORD}
        token = (await self.http.post("/api/auth/login", json=login)).json()["access_token"]
        return await self.http.request(method, path, headers={"authorization": f"Bearer {token}"})


@pytest.fixture
async def gateway(
    project: Path, clean_database: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Gateway]:
    (project / "examples.yaml").write_text(configuration(), encoding="utf-8")
    with running_gateway(project, clean_database, redis_url, tmp_path / "data") as process:
        banner = await asyncio.to_thread(process.wait_for_banner)
        key = re.search(r"^API key: (\S+)$", banner, re.M)
        assert key is not None, banner
        async with httpx.AsyncClient(base_url=process.address, timeout=60) as http:
            yield Gateway(http, key[1])


async def test_the_examples_work(project: Path, gateway: Gateway) -> None:
    """One gateway for all four examples, because its start takes seconds."""
    await check_provider(gateway)
    await check_tool(gateway)
    await check_guardrail(gateway, project)
    await check_statistic(gateway)


async def check_provider(gateway: Gateway) -> None:
    whole = (await gateway.chat("Say hello.", model="echo")).json()
    assert whole["choices"][0]["message"]["content"] == "Say hello."
    stream = await gateway.chat("Say hello.", model="echo", stream=True)
    assert '"content":"Say"' in stream.text
    assert '"content":" hello."' in stream.text


async def check_tool(gateway: Gateway) -> None:
    answer = await gateway.chat(
        'call tool word_count {"text": "one two three"}', gateway={"tools": ["word_count"]}
    )
    assert "3 words" in answer.json()["choices"][0]["message"]["content"]


async def check_guardrail(gateway: Gateway, project: Path) -> None:
    blocked = await gateway.chat(PRIVATE_KEY)
    assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "content_blocked")
    assert "The message contains a private key." in blocked.json()["error"]["message"]
    assert (await gateway.chat("Say hello.")).status_code == 200

    switched_off = configuration(guardrails={"api_keys": {"private_key": "off"}})
    (project / "examples.yaml").write_text(switched_off, encoding="utf-8")
    assert (await gateway.as_admin("POST", "/api/admin/reload")).status_code == 200
    assert (await gateway.chat(PRIVATE_KEY)).status_code == 200
    requested = await gateway.chat(PRIVATE_KEY, gateway={"guardrails": {"private_key": "block"}})
    assert requested.status_code == 400


async def check_statistic(gateway: Gateway) -> None:
    before = (await gateway.as_admin("GET", "/api/admin/stats")).json()["failed_calls"]
    failed = await gateway.chat("Say hello.", model="failing")
    assert failed.status_code >= 500
    after = (await gateway.as_admin("GET", "/api/admin/stats")).json()["failed_calls"]
    assert (before, after > before) == (before, True)


def test_additions_touch_as_few_files_as_promised() -> None:
    def existing(section: str) -> list[str]:
        return [path for path in changed_files(section) if (PROJECT / path).exists()]

    for section in ("A tool", "A provider", "A guardrail"):
        assert len(existing(section)) == 1, section
    assert len(changed_files("An admin statistic")) + 1 <= 8
