"""What `LOG_PROMPTS` writes to the log, and that the log says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.logging.setup import configure_logging
from gateway.core.settings import Settings
from tests.support.gateway import running_gateway
from tests.support.upstreams.openai_server import OpenAIUpstream, Reply

UPSTREAM_KEY = "sk-proj-Zq8WvendorKeyThatMustNotShow"


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    yield
    configure_logging(Settings(_env_file=None, log_level="WARNING"))  # type: ignore[call-arg]


async def test_prompts_are_logged_redacted_and_the_log_says_so(
    database_url: str, redis_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {"log_prompts": True, "log_level": "INFO", "log_sampling": "/v1/models=0"}
    async with OpenAIUpstream() as upstream:
        config: dict[str, object] = {
            "providers": {"up": {"type": "openai", "base_url": upstream.url, "api_key": UPSTREAM_KEY}},
            "models": {"good": {"provider": "up", "model": "v"}},
        }
        async with running_gateway(database_url, redis_url, tmp_path, config, **settings) as gateway:
            headers = {"x-api-key": await gateway.create_api_key(await gateway.sign_up())}
            upstream.script(Reply(text=("Because of the tides.",)))
            body = {
                "model": "good",
                "messages": [{"role": "user", "content": f"Why does it sing? {UPSTREAM_KEY}"}],
            }
            answer = await gateway.http.post("/v1/chat/completions", json=body, headers=headers)
            await gateway.http.get("/v1/models", headers=headers)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    assert "prompts.logged" in {line["event"] for line in lines}
    [turn] = [line for line in lines if line["event"] == "turn.prompts"]
    assert turn["messages"][-1] == {"role": "user", "text": "Why does it sing? [redacted]"}
    assert (turn["answer"], turn["request_id"]) == ("Because of the tides.", answer.headers["x-request-id"])
    paths = [line["path"] for line in lines if line["event"] == "request"]
    assert "/v1/chat/completions" in paths
    assert "/v1/models" not in paths
