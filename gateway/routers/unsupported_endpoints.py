"""Known vendor endpoints that the gateway does not offer, for a helpful 404 message."""

from __future__ import annotations

import re
from typing import NamedTuple

_ANY_PATH = r"(?:/[^/]+)*"
_ONE_SEGMENT = r"/[^/]+"


class _Endpoint(NamedTuple):
    """`name` is how messages call the endpoint; `methods` None means every method."""

    name: str
    methods: frozenset[str] | None
    path: re.Pattern[str]


def _endpoint(name: str, path: str, *methods: str) -> _Endpoint:
    return _Endpoint(name, frozenset(methods) or None, re.compile(path))


# The first match is used.
_ENDPOINTS = (
    _endpoint("OpenAI's speech", "/v1/audio/speech"),
    _endpoint("OpenAI's audio transcription", "/v1/audio/transcriptions"),
    _endpoint("OpenAI's audio translation", "/v1/audio/translations"),
    _endpoint("OpenAI's audio API", f"/v1/audio{_ANY_PATH}"),
    _endpoint("OpenAI's image editing", "/v1/images/edits"),
    _endpoint("OpenAI's image variations", "/v1/images/variations"),
    _endpoint("OpenAI's text completions", "/v1/completions"),
    _endpoint("OpenAI's stored chat completions", "/v1/chat/completions", "GET"),
    _endpoint("OpenAI's stored chat completions", f"/v1/chat/completions{_ONE_SEGMENT}{_ANY_PATH}"),
    _endpoint("OpenAI's response compaction", "/v1/responses/compact", "POST"),
    _endpoint("OpenAI's input token counts", "/v1/responses/input_tokens", "POST"),
    _endpoint("OpenAI's deletion of models", f"/v1/models{_ONE_SEGMENT}", "DELETE"),
    *(
        _endpoint(f"OpenAI's {name}", f"/v1/{path}{_ANY_PATH}")
        for name, path in (
            ("assistants", "assistants"),
            ("batches", "batches"),
            ("ChatKit", "chatkit"),
            ("containers", "containers"),
            ("conversations", "conversations"),
            ("edits", "edits"),
            ("engines", "engines"),
            ("evals", "evals"),
            ("files", "files"),
            ("fine-tuning", "fine[-_]tun(?:ing|es)"),
            ("moderations", "moderations"),
            ("organization API", "organization"),
            ("realtime API", "realtime"),
            ("skills", "skills"),
            ("threads", "threads"),
            ("uploads", "uploads"),
            ("vector stores", "vector_stores"),
            ("videos", "videos"),
        )
    ),
    _endpoint("Azure's deployments", f"/openai/(?:deployments|v1){_ANY_PATH}"),
    _endpoint("Anthropic's messages", f"/v1/messages{_ANY_PATH}"),
    _endpoint("Anthropic's text completions", "/v1/complete"),
    _endpoint("Gemini's API", f"/v1beta{_ANY_PATH}"),
    _endpoint("Gemini's API", r"/v1/models/[^/]+:\w+", "POST"),
    _endpoint("Cohere's reranking", "/v[12]/rerank"),
    _endpoint("Ollama's API", r"/api/(?:blobs|copy|create|delete|embed|embeddings|generate|ps|pull|push)"),
    _endpoint("Ollama's API", r"/api/(?:show|tags|version)"),
)


def find_vendor_endpoint(method: str, path: str) -> str | None:
    """Return the name of the vendor endpoint at this path, or None."""
    return next(
        (
            endpoint.name
            for endpoint in _ENDPOINTS
            if (endpoint.methods is None or method in endpoint.methods) and endpoint.path.fullmatch(path)
        ),
        None,
    )
