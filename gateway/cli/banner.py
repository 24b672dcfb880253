"""What a newcomer reads once the gateway answers."""

from __future__ import annotations

from gateway.cli.accounts import FirstAccount

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
    parts = [
        f"LLM Gateway answers at {address}  (API reference: {address}/docs)\n"
        "Open it in a browser to chat and to administer it."
    ]
    if first is None:
        parts.append(
            "The admin and the first key were shown at the first start. More:\n"
            "`gateway admin create --email E`, `gateway keys create --user E --name N`."
        )
    else:
        parts += [credentials(first), examples(address, first.api_key)]
    if local_model is not None:
        parts += [LOCAL_MODEL if local_model else LOCAL_MODEL_LOADING, CONNECT]
    elif first is not None:
        parts.append(CONNECT)
    rule = "─" * 78
    return "\n" + rule + "\n" + "\n\n".join(parts) + "\n" + rule + "\n"


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
