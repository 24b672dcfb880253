"""Runs the guards of the question and of tool results concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from gateway.guardrails.base import EmbedTexts, Guardrail, Verdict


def find_guard(name: str) -> type[Guardrail]:
    """Return the guard of the module `gateway.guardrails.NAME`.

    Raises:
        ValueError: There is no such module, or it has no guard of this name.
    """
    module = f"gateway.guardrails.{name}"
    if find_spec(module) is not None:
        for found in vars(import_module(module)).values():
            if isinstance(found, type) and issubclass(found, Guardrail) and vars(found).get("name") == name:
                return found
    raise ValueError(f"There is no guardrail {name}: {module} has no Guardrail of this name.")


class GuardrailPipeline:
    """Collects the verdicts of all guards; the caller decides which of them blocks."""

    def __init__(self, guards: Sequence[Guardrail]) -> None:
        self._guards = tuple(guards)
        self.names = frozenset(guard.name for guard in guards)

    @classmethod
    def from_names(cls, *names: str, embed: EmbedTexts) -> GuardrailPipeline:
        """Create the guards of these names.

        Raises:
            ValueError: There is no guard of one of the names.
        """
        guard_classes: list[Any] = [find_guard(name) for name in names]
        return cls([guard_class(embed) for guard_class in guard_classes])

    async def warm_up(self) -> None:
        """Load the guards' models, so that the first question does not wait for them."""
        await asyncio.gather(*(guard.warm_up() for guard in self._guards))

    async def check_input(self, text: str, active: Collection[str]) -> tuple[Verdict, ...]:
        """Return the verdicts of the active guards, in order; they run concurrently."""
        return await _gather([guard.check(text) for guard in self._guards if guard.name in active])

    async def check_tool_result(self, text: str) -> tuple[Verdict, ...]:
        """Return the verdicts on an external tool result."""
        return await _gather(
            [guard.check_tool_result(text) for guard in self._guards if guard.checks_tool_results]
        )

    async def aclose(self) -> None:
        """Release the guards' threads."""
        for guard in self._guards:
            await guard.aclose()


async def _gather(checks: list[Coroutine[Any, Any, Verdict]]) -> tuple[Verdict, ...]:
    if len(checks) == 1:
        return (await checks[0],)
    return tuple(await asyncio.gather(*checks))
