"""Prompts for image models that accept only one text."""

from __future__ import annotations

from gateway.domain.images import ImageRequest


def merge_negative_prompt(request: ImageRequest) -> str:
    """Return the prompt, with the negative prompt as its last sentence."""
    if not request.negative_prompt:
        return request.prompt
    return f"{request.prompt}\n\nNot in the image: {request.negative_prompt}"
