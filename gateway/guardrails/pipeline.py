"""The guards that read what comes in, run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Literal

from gateway.guardrails.base import EmbedTexts, Guardrail, Verdict
from gateway.guardrails.injection import InjectionGuard
from gateway.guardrails.unsafe import UnsafeGuard

# A new guard is one file and one line here.
GUARDS: dict[str, Callable[[EmbedTexts], Guardrail]] = {
    InjectionGuard.name: InjectionGuard,
    UnsafeGuard.name: UnsafeGuard,
}
# What a tool brings back asks for nothing, so only attacks are looked for in it.
_READ_TOOL_RESULTS = frozenset({"injection"})


def mode_key(guard: str) -> Literal["injection", "unsafe"]:
    """Which mode of the configuration decides about this guard of the question."""
    return "unsafe" if guard in ("unsafe", "moderation") else "injection"


class GuardrailPipeline:
    """Asks guards about a text; which verdict blocks is for the caller to decide."""

    def __init__(self, guards: Sequence[Guardrail]) -> None:
        self._guards = tuple(guards)
        self.names = frozenset(guard.name for guard in guards)

    @classmethod
    def from_names(cls, *names: str, embed: EmbedTexts) -> GuardrailPipeline:
        """The guards of these names, made anew; ValueError for a name that no guard has."""
        unknown = sorted(set(names) - set(GUARDS))
        if unknown:
            raise ValueError(
                f"Unknown guardrails {', '.join(unknown)}; there are {', '.join(sorted(GUARDS))}."
            )
        return cls([GUARDS[name](embed) for name in names])

    async def warm_up(self) -> None:
        """Load what the guards need, so that the first question does not wait for it."""
        await asyncio.gather(*(guard.warm_up() for guard in self._guards))

    async def check_input(self, text: str, active: Collection[str]) -> tuple[Verdict, ...]:
        """The verdicts of the guards that these switches turn on, in order, none waiting for another."""
        return await _gather([guard.check(text) for guard in self._guards if mode_key(guard.name) in active])

    async def check_tool_result(self, text: str) -> tuple[Verdict, ...]:
        """The verdicts on what a tool brought from outside."""
        return await _gather(
            [guard.check_tool_result(text) for guard in self._guards if guard.name in _READ_TOOL_RESULTS]
        )

    async def aclose(self) -> None:
        """Let go of threads the guards hold."""
        for guard in self._guards:
            await guard.aclose()


async def _gather(checks: list[Coroutine[Any, Any, Verdict]]) -> tuple[Verdict, ...]:
    if len(checks) == 1:
        return (await checks[0],)
    return tuple(await asyncio.gather(*checks))
