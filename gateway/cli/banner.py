"""The text that `gateway serve` prints once it is ready."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from gateway.cli.accounts import FirstAccount
from gateway.console.site import ConsoleSite

LOCAL_MODEL = (
    "No other provider is reachable, so requests go to a small local model: SmolLM2, 135 million "
    "parameters,\n"
    "on the CPU. It shows that everything works, but it is far too small for real use."
)
LOCAL_MODEL_LOADING = (
    "No other provider is reachable. A small local model (SmolLM2, 135 million parameters) is still "
    "loading.\n"
    "If it never becomes ready, see llama.log in the data directory."
)
CONNECT = """\
For a better model, stop the gateway and start it again with one of
  OLLAMA_URL=http://localhost:11434    after `ollama pull llama3.2:3b` (and qwen2.5:7b for harder questions)
  OPENAI_API_KEY=sk-...                or ANTHROPIC_API_KEY, GOOGLE_API_KEY
in the environment or in .env; models and routing are in provider_config.yaml."""


def banner(address: str, first: FirstAccount | None, *, local_model: bool | None) -> str:
    """Return the banner; it contains secrets only with `first`.

    Args:
        local_model: whether the small local model is ready; None if it was not started.
    """
    program = _program()
    opening = (
        "Open it in a browser to chat and to manage the gateway."
        if ConsoleSite.load() is not None
        else "The web console is not built (it needs Node). The API works; run `make console` to "
        "build the console."
    )
    parts = [f"LLM Gateway is ready at {address}  (API reference: {address}/docs)\n{opening}"]
    if first is None:
        parts.append(
            "The admin and the first key were shown at the first start. To create more:\n"
            f"{program} admin create --email E       an administrator\n"
            f"{program} admin password --email E     a new password for an account\n"
            f"{program} keys create --user E --name N     an API key"
        )
    else:
        parts += [credentials(first), examples(address, first.api_key)]
    if local_model is not None:
        parts += [LOCAL_MODEL if local_model else LOCAL_MODEL_LOADING, CONNECT]
    elif first is not None:
        parts.append(CONNECT)
    rule = "─" * 78
    return "\n" + rule + "\n" + "\n\n".join(parts) + "\n" + rule + "\n"


def _program() -> str:
    """Return the command that started this program, as a shell would find it."""
    called = sys.argv[0] if sys.argv else ""
    return called if Path(called).name == "gateway" and not shutil.which("gateway") else "gateway"


def credentials(first: FirstAccount) -> str:
    """Return the credentials in a format that scripts can parse."""
    return (
        "Shown only once, so save them:\n"
        f"admin e-mail: {first.email}\nadmin password: {first.password}\nAPI key: {first.api_key}"
    )


def examples(address: str, key: str) -> str:
    """Return examples with curl and the official Python client."""
    body = '{"model": "auto", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'
    messages = 'messages=[{"role": "user", "content": "Say hello."}]'
    return f"""\
A streamed answer:
curl -N {address}/v1/chat/completions -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" -d '{body}'

The official Python client:
from openai import OpenAI
client = OpenAI(base_url="{address}/v1", api_key="{key}")
print(client.chat.completions.create(model="auto", {messages}).choices[0].message.content)"""
