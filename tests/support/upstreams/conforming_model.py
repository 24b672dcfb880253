"""An OpenAI-compatible server that answers as LangChain's conformance suite expects.

The suite judges a model as well as the wire that it is reached by. With this one behind the gateway, what
fails is the gateway's.
`python -m tests.support.upstreams.conforming_model` prints its address and serves until it is
stopped.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from gateway.providers.mock.json_generator import generate_value
from tests.support.upstreams.http_server import ReceivedCall, Reply, ScriptedToolCall
from tests.support.upstreams.openai_server import OpenAIUpstream

_JOKE = {"setup": "Why do cats sit on keyboards?", "punchline": "To keep an eye on the mouse."}
# What the suite's questions mean for the arguments of the tools they come with.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "get_weather": {"location": "San Francisco, CA"},
}
_QUOTED = re.compile(r"'([^']+)'")


class ConformingModel(OpenAIUpstream):
    """Calls the tool it is offered, unless it has its result already; else answers in the form asked for."""

    def frames(self, reply: Reply, call: ReceivedCall) -> tuple[list[bytes], list[bytes]]:
        return super().frames(answer(call.body), call)

    def json_body(self, reply: Reply, call: ReceivedCall) -> bytes:
        return super().json_body(answer(call.body), call)


def answer(body: dict[str, Any]) -> Reply:
    """What the model says to this request."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return Reply(text=(json.dumps(generate_value(wanted["json_schema"]["schema"], 7)),))
    if wanted.get("type") == "json_object":
        return Reply(text=(json.dumps(_JOKE),))
    tools = body.get("tools") or []
    if not tools or body.get("tool_choice") == "none" or body["messages"][-1]["role"] == "tool":
        return Reply()
    function = tools[0]["function"]
    arguments = _ARGUMENTS.get(function["name"])
    if arguments is None:
        arguments = generate_value(function["parameters"], 7)
    if named := _QUOTED.search(str(body["messages"][-1]["content"])):
        arguments = {**arguments, "customer_name": named[1]}
    text = json.dumps(arguments, ensure_ascii=False)
    return Reply(
        text=(),
        tools=(ScriptedToolCall(function["name"], (text[:4], text[4:]), "call_1"),),
        finish="tool_calls",
    )


async def main() -> None:
    async with ConformingModel() as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
