"""What a newcomer reads once the gateway answers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from gateway.cli.accounts import FirstAccount
from gateway.console.site import ConsoleSite

LOCAL_MODEL = (
    "No other provider answers, so a small model on this machine does: SmolLM2, 135 million parameters,\n"
    "on the CPU. It shows that everything works; it is far too small to be relied on."
)
LOCAL_MODEL_LOADING = (
    "No other provider answers. A small model on this machine (SmolLM2, 135 million parameters) is still\n"
    "loading; llama.log in the data directory says why if it never answers."
)
CONNECT = """\
For a better model, stop this and start it again with one of
  OLLAMA_URL=http://localhost:11434    after `ollama pull llama3.2:3b` (and qwen2.5:7b for harder questions)
  OPENAI_API_KEY=sk-...                or ANTHROPIC_API_KEY, GOOGLE_API_KEY
in the environment or in .env; models and routing are in provider_config.yaml."""


def banner(address: str, first: FirstAccount | None, *, local_model: bool | None) -> str:
    """The text; secrets appear only with `first`.

    Args:
        local_model: whether the small model answers; None where it was not started.
    """
    program = _program()
    opening = (
        "Open it in a browser to chat and to administer it."
        if ConsoleSite.load() is not None
        else "The console was not built (it needs Node); the API works, and `make console` builds it later."
    )
    parts = [f"LLM Gateway answers at {address}  (API reference: {address}/docs)\n{opening}"]
    if first is None:
        parts.append(
            "The admin and the first key were shown at the first start. More:\n"
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
    """How this program was called, as far as a shell would find it again."""
    called = sys.argv[0] if sys.argv else ""
    return called if Path(called).name == "gateway" and not shutil.which("gateway") else "gateway"


def credentials(first: FirstAccount) -> str:
    """The lines that a script may look for."""
    return (
        "Shown this once, so keep them:\n"
        f"admin e-mail: {first.email}\nadmin password: {first.password}\nAPI key: {first.api_key}"
    )


def examples(address: str, key: str) -> str:
    """A streamed answer with curl, and the official Python client."""
    body = '{"model": "auto", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'
    ask = 'messages=[{"role": "user", "content": "Say hello."}]'
    return f"""\
A streamed answer:
curl -N {address}/v1/chat/completions -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" -d '{body}'

The official Python client:
from openai import OpenAI
client = OpenAI(base_url="{address}/v1", api_key="{key}")
print(client.chat.completions.create(model="auto", {ask}).choices[0].message.content)"""
