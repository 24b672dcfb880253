"""The request parameters that a `response` object repeats."""

from __future__ import annotations

from typing import Any

from gateway.dialects.openai.client_tools import is_hosted
from gateway.dialects.openai.responses.body import ResponsesBody, ResponseToolBody, ResponseToolChoice
from gateway.domain.requests import ConversationTarget


def _tool_body(tool: ResponseToolBody) -> dict[str, Any]:
    """Return a tool as the response repeats it.

    OpenAI includes null fields of functions.
    """
    if tool.type == "function":
        return tool.model_dump(exclude={"tools", "format"})
    return tool.model_dump(exclude_none=True)


def echoed_parameters(body: ResponsesBody, target: ConversationTarget, store: bool) -> dict[str, Any]:
    """Return the body's parameters for the response object.

    Hosted tools are not offered.
    """
    text = body.text.model_dump(by_alias=True, exclude_none=True) if body.text is not None else {}
    choice, reasoning = body.tool_choice, body.reasoning
    parameters = {
        "background": False,
        "instructions": target.system or None,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": target.metadata,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {
            "effort": reasoning.effort if reasoning is not None else None,
            "summary": reasoning.summary if reasoning is not None else None,
        },
        "store": store,
        "temperature": body.temperature,
        "text": {"format": {"type": "text"}, **text},
        "tool_choice": choice.model_dump(exclude_unset=True)
        if isinstance(choice, ResponseToolChoice)
        else choice or "auto",
        "tools": [_tool_body(tool) for tool in body.tools or () if not is_hosted(tool.type)],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": body.truncation or ("auto" if store else "disabled"),
    }
    for name in ("prompt_cache_key", "safety_identifier"):
        if isinstance(value := (body.model_extra or {}).get(name), str):
            parameters[name] = value
    return parameters
