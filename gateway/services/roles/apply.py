"""Applies a configured role's prompt to a chat turn."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.exceptions import NotFound, ValidationFailed
from gateway.domain.config.catalog import Catalog
from gateway.domain.messages import Message
from gateway.domain.requests import Turn
from gateway.services.roles.registry import RoleRegistry


def apply_role(turn: Turn, registry: RoleRegistry, catalog: Catalog) -> Turn:
    """Prepend the role's prompt to the turn's system prompt.

    `{{payload}}` is the last question.

    A role without a prompt that only appears in a routing rule leaves the turn unchanged.

    Raises:
        NotFound: the role does not exist.
        ValidationFailed: the prompt needs payload fields that a chat turn does not have.
    """
    if turn.role is None:
        return turn
    if turn.role not in registry.roles and any(turn.role in rule.role for rule in catalog.routing.rules):
        return turn
    try:
        entry = registry.get(turn.role, turn.task)
    except NotFound as error:
        raise NotFound(error.message, param=f"gateway.{error.param}") from None
    question = next((message.text for message in reversed(turn.messages) if message.role == "user"), "")
    try:
        prompt = entry.render(question)
    except ValidationFailed as error:
        raise ValidationFailed(error.message, param="gateway.role") from None
    if turn.conversation is not None:
        target = turn.conversation
        target = replace(target, system=_join_prompts(prompt, target.system))
        return replace(turn, conversation=target)
    first, *rest = turn.messages
    if first.role == "system":
        return replace(turn, messages=(Message("system", _join_prompts(prompt, first.text)), *rest))
    return replace(turn, messages=(Message("system", prompt), *turn.messages))


def _join_prompts(prompt: str, caller_prompt: str | None) -> str:
    return f"{prompt}\n\n{caller_prompt}" if caller_prompt else prompt
