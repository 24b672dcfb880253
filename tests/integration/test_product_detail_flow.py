"""The six agents of the example against a gateway."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from PIL import Image

from examples.product_detail.agents import RoleAgent
from examples.product_detail.page import six_agents
from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient
from gateway.services.roles.registry import RoleRegistry, RoleTask
from tests.support.gateway import Gateway, running_gateway
from tests.support.paths import PROJECT
from tests.support.scripts import load_script

EXAMPLE = PROJECT / "examples" / "product_detail"
SHIPPED = yaml.safe_load((PROJECT / "provider_config.yaml").read_text(encoding="utf-8"))
PARTS = ["brand", "brief", "structure", "copy", "image", "review"]
Main = Callable[[Sequence[str]], Coroutine[Any, Any, int]]


@asynccontextmanager
async def on_mocks(
    database_url: str, redis_url: str, folder: Path, **models: dict[str, Any]
) -> AsyncIterator[tuple[Gateway, str]]:
    """Run a gateway with the shipped roles and return it with a key."""
    shutil.copytree(PROJECT / "prompts", folder / "prompts")
    config: dict[str, Any] = {
        "providers": {"mock": {"type": "mock"}},
        "models": {
            "mock": {"provider": "mock", "model": "mock", "capabilities": ["json"]},
            "picture": {"provider": "mock", "model": "mock", "capabilities": ["images"]},
            **models,
        },
        "aliases": {"high-reasoning": ["mock"], "creative": ["mock"]},
        "roles": SHIPPED["roles"],
        "routing": {"light": "mock", "heavy": "mock"},
    }
    async with running_gateway(database_url, redis_url, folder, config) as gateway:
        yield gateway, await gateway.create_api_key(await gateway.sign_up())


def remove_role(registry: RoleRegistry, removed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    get = registry.get

    def get_others(role: str, task: str | None) -> RoleTask:
        return get("removed" if role == removed else role, task)

    monkeypatch.setattr(registry, "get", get_others)


@pytest.fixture
def script() -> ModuleType:
    return load_script("run_p0_product_detail_flow")


def half_written(folder: Path) -> list[Path]:
    return list(folder.glob(".*.half"))


def agents() -> list[RoleAgent]:
    return six_agents(
        AsyncLLMGatewayClient("http://nobody", api_key="k"),
        AsyncMediaGatewayClient("http://nobody", api_key="k"),
    )


async def test_six_agents_make_a_page_with_a_valid_image(
    database_url: str,
    clean_redis: str,
    tmp_path: Path,
    script: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "page.json"
    async with on_mocks(database_url, clean_redis, tmp_path) as (gateway, key):
        given = ["--base-url", gateway.url, "--api-key", key, "--mode", "mock", "--output", str(output)]
        assert await script.main(given) == 0
        page = json.loads(output.read_text(encoding="utf-8"))
        picture = page["results"]["image"]
        fetched = await gateway.http.get(picture["address"], headers={"x-api-key": key})
    assert list(page["results"]) == PARTS
    assert page["mode"] == "mock"
    assert "failed" not in page
    assert list(page["seconds"]) == [*(agent.name for agent in agents()), "total"]
    for agent in agents():
        schema = json.loads((PROJECT / "prompts" / f"{agent.role}.json").read_text(encoding="utf-8"))
        said = {key: page["results"][agent.output][key] for key in schema["properties"]}
        Draft202012Validator(schema).validate(said)
    assert fetched.content == (tmp_path / picture["file"]).read_bytes()
    with Image.open(tmp_path / picture["file"]) as opened:
        opened.load()
        assert opened.size == (1024, 1024) == (picture["width"], picture["height"])
    shown = capsys.readouterr().out
    assert "0/6 BrandAgent" in shown
    assert "6/6 done" in shown


@pytest.mark.parametrize("failing", ["StrategistAgent", "VisionGeneratorAgent"])
async def test_a_failing_agent_is_named_and_earlier_results_are_saved(
    database_url: str,
    clean_redis: str,
    tmp_path: Path,
    script: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    output = tmp_path / "page.json"
    bad = {"bad": {"provider": "mock", "model": "no-image", "capabilities": ["images"]}}
    async with on_mocks(database_url, clean_redis, tmp_path, **bad) as (gateway, key):
        given = ["--base-url", gateway.url, "--api-key", key, "--mode", "mock", "--output", str(output)]
        if failing == "VisionGeneratorAgent":
            given += ["--image-model", "bad"]
        else:
            remove_role(gateway.container.roles.registry, "strategist", monkeypatch)
        assert await script.main(given) == 1
    page = json.loads(output.read_text(encoding="utf-8"))
    done = PARTS[: [agent.name for agent in agents()].index(failing)]
    assert list(page["results"]) == done
    assert page["failed"]["agent"] == failing
    assert page["failed"]["error"]
    assert f"{failing} failed: " in capsys.readouterr().out
    assert half_written(tmp_path) == []


def test_agents_depend_only_on_the_gateways_client() -> None:
    tree = ast.parse((EXAMPLE / "agents.py").read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    }
    assert imported == {"__future__", "abc", "collections.abc", "typing", "gateway.client"}


@pytest.mark.parametrize("path", sorted(EXAMPLE.glob("*.py")), ids=lambda path: path.stem)
def test_no_agent_names_a_model_or_a_vendor(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    models = [
        *SHIPPED["models"],
        *SHIPPED["aliases"],
        *(model["model"] for model in SHIPPED["models"].values()),
    ]
    names = {str(name).lower() for name in models if "$" not in str(name)} | set(SHIPPED["providers"])
    vendors = {
        "openai",
        "anthropic",
        "claude",
        "gpt",
        "gemini",
        "llama",
        "qwen",
        "ollama",
        "comfyui",
        "litellm",
    }
    # Words that are part of sentences or of modes, not names of models.
    said = [name for name in sorted(names | vendors) if name in text]
    assert [name for name in said if name not in ("mock", "default")] == []
    for line in text.splitlines():
        if line.startswith(("import ", "from ")):
            assert "provider" not in line


def test_the_samples_match_the_agents_inputs_and_outputs() -> None:
    samples = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((EXAMPLE / "samples").glob("*.json"))
    ]
    assert [sample["agent"] for sample in samples] == [agent.name for agent in agents()]
    for agent, sample in zip(agents(), samples, strict=True):
        assert sample["role"] == agent.role
        assert set(sample["input"]) <= set(agent.inputs)
        schema = json.loads((PROJECT / "prompts" / f"{agent.role}.json").read_text(encoding="utf-8"))
        said = {key: sample["output"][key] for key in schema["properties"]}
        Draft202012Validator(schema).validate(said)
