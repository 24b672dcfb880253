"""Python client of LLM Gateway: typed, sync and async, on httpx and pydantic.

    from gateway.client import LLMGatewayClient

    with LLMGatewayClient() as gateway:  # reads LLM_GATEWAY_URL and LLM_GATEWAY_API_KEY
        print(gateway.chat("Good morning").message.content)
        for event in gateway.stream_chat("Tell me a story"):
            if event.event == "delta":
                print(event.text, end="")

Imports nothing else of `gateway`, so that the package works on its own.
"""

from gateway.client.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionLost,
    GatewayClientError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TurnEnded,
    UpstreamFailed,
)
from gateway.client.llm import AsyncLLMGatewayClient, LLMGatewayClient
from gateway.client.media import AsyncMediaGatewayClient, MediaGatewayClient
from gateway.client.models import (
    Completion,
    Conversation,
    Delta,
    Done,
    Embedding,
    Embeddings,
    Generation,
    Image,
    Images,
    Message,
    Model,
    Reasoning,
    Receipt,
    Replace,
    RouteChosen,
    ToolCallStarted,
    ToolResult,
    TurnAnswer,
    TurnEvent,
    TurnStarted,
    Usage,
)

__all__ = [
    "AsyncLLMGatewayClient",
    "AsyncMediaGatewayClient",
    "AuthenticationError",
    "Completion",
    "ConflictError",
    "ConnectionLost",
    "Conversation",
    "Delta",
    "Done",
    "Embedding",
    "Embeddings",
    "GatewayClientError",
    "Generation",
    "Image",
    "Images",
    "InvalidRequestError",
    "LLMGatewayClient",
    "MediaGatewayClient",
    "Message",
    "Model",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "Reasoning",
    "Receipt",
    "Replace",
    "RouteChosen",
    "ServerError",
    "ToolCallStarted",
    "ToolResult",
    "TurnAnswer",
    "TurnEnded",
    "TurnEvent",
    "TurnStarted",
    "UpstreamFailed",
    "Usage",
]
