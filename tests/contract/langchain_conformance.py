"""LangChain's public conformance suite for chat models, against a gateway that is running.

It needs `langchain-tests`, which is no requirement of the gateway, so the test run does not collect this
file; docs/clients/langchain.md says how to run it, and what came of it.
"""

from __future__ import annotations

import os
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class _Gateway(ChatModelIntegrationTests):
    responses = False

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": os.environ.get("GATEWAY_MODEL", "mock"),
            "base_url": os.environ["GATEWAY_URL"] + "/v1",
            "api_key": os.environ["GATEWAY_KEY"],
            "stream_usage": True,
            "use_responses_api": self.responses,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return os.environ.get("GATEWAY_OTHER_MODEL", "mock")


class TestCompletions(_Gateway):
    """By `/v1/chat/completions`."""


class TestResponses(_Gateway):
    """By `/v1/responses`."""

    responses = True
