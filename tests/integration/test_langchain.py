"""LangChain's `ChatOpenAI` at `/v1`, by both of OpenAI's APIs."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.support.gateway import Gateway

CONFIG: dict[str, Any] = {
    "providers": {"mock": {"type": "mock"}},
    "models": {
        "mock": {
            "provider": "mock",
            "model": "mock",
            "capabilities": ["tools", "json", "logprobs", "vision"],
        },
        "cut": {"provider": "mock", "model": "cut"},
        "vector": {"provider": "mock", "model": "mock", "capabilities": ["embeddings"]},
    },
}


@pytest.fixture
def gateway_config() -> dict[str, Any]:
    return CONFIG


@pytest.fixture(params=[False, True], ids=["completions", "responses"])
async def settings(gateway: Gateway, request: pytest.FixtureRequest) -> dict[str, Any]:
    key = await gateway.create_api_key(await gateway.sign_up())
    return {
        "base_url": f"{gateway.url}/v1",
        "api_key": key,
        "model": "mock",
        "max_retries": 0,
        "use_responses_api": request.param,
    }


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


class City(BaseModel):
    """A city."""

    name: str
    people: int


async def test_invoke_and_stream_return_the_same_text(settings: dict[str, Any]) -> None:
    model = ChatOpenAI(**settings, stream_usage=True)
    asked = [SystemMessage("Be brief."), HumanMessage("Why is the sky blue?")]
    whole = await model.ainvoke(asked)
    assert "sky" in whole.text
    assert whole.usage_metadata is not None
    total: AIMessageChunk | None = None
    async for chunk in model.astream(asked):
        assert isinstance(chunk, AIMessageChunk)
        total = chunk if total is None else total + chunk
    assert total is not None
    assert total.text == whole.text
    assert total.usage_metadata is not None
    assert total.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


async def test_tools_make_the_round_trip(settings: dict[str, Any]) -> None:
    model = ChatOpenAI(**settings).bind_tools([weather])
    question = HumanMessage('call tool weather {"city": "Oslo"}')
    asked = await model.ainvoke([question])
    [call] = asked.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Oslo"})
    result = await weather.ainvoke(call)
    assert isinstance(result, ToolMessage)
    done = await model.ainvoke([question, asked, result])
    assert "Rain in Oslo" in done.text
    total: Any = None
    async for chunk in model.astream([question]):
        total = chunk if total is None else total + chunk
    [streamed] = total.tool_calls
    assert (streamed["name"], streamed["args"]) == ("weather", {"city": "Oslo"})
    forced = ChatOpenAI(**settings).bind_tools([weather], tool_choice="weather")
    assert (await forced.ainvoke("Hi")).tool_calls[0]["name"] == "weather"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_structured_output_has_its_type(settings: dict[str, Any], method: Any) -> None:
    model = ChatOpenAI(**settings).with_structured_output(City, method=method)
    assert isinstance(await model.ainvoke("Which city?"), City)


async def test_images_and_logprobs_arrive(settings: dict[str, Any]) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    model = ChatOpenAI(**settings)
    answer = await model.ainvoke([HumanMessage([{"type": "text", "text": "What is this?"}, image])])
    assert "images" in answer.text
    if not settings["use_responses_api"]:
        received = await model.bind(logprobs=True).ainvoke("Hi")
        assert received.response_metadata["logprobs"]["content"]


async def test_a_response_is_followed_by_its_id(gateway: Gateway) -> None:
    model = ChatOpenAI(
        base_url=f"{gateway.url}/v1",
        api_key=await gateway.create_api_key(await gateway.sign_up()),
        model="mock",
        use_responses_api=True,
        use_previous_response_id=True,
    )
    asked = HumanMessage("My name is Ada.")
    first = await model.ainvoke([asked])
    second = await model.ainvoke([asked, first, HumanMessage("And what now?")])
    assert isinstance(second, AIMessage)
    assert second.usage_metadata is not None
    assert first.usage_metadata is not None
    assert second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]


async def test_a_failure_midway_raises(settings: dict[str, Any]) -> None:
    model = ChatOpenAI(**{**settings, "model": "cut"})
    with pytest.raises((openai.APIError, ValueError)):
        async for _ in model.astream("Hi"):
            pass


async def test_embeddings_are_vectors(gateway: Gateway) -> None:
    key = await gateway.create_api_key(await gateway.sign_up())
    embedder = OpenAIEmbeddings(
        model="vector", base_url=f"{gateway.url}/v1", api_key=key, check_embedding_ctx_length=False
    )
    one, two = await embedder.aembed_documents(["one", "two"])
    assert len(one) == len(two) > 1
