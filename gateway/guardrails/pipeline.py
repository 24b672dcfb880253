"""The guards that look at an input, run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.guardrails.base import Embed, Guardrail, Verdict
from gateway.guardrails.injection import InjectionGuard

# A new guard is one file and one line here.
GUARDS: dict[str, Callable[[Embed], Guardrail]] = {
    InjectionGuard.name: InjectionGuard,
}


class GuardrailPipeline:
    """Asks every guard about a text; which verdict blocks is for the caller to decide."""

    def __init__(self, guards: Sequence[Guardrail]) -> None:
        self._guards = tuple(guards)

    @classmethod
    def of(cls, *names: str, embed: Embed) -> GuardrailPipeline:
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

    async def check_input(self, text: str) -> tuple[Verdict, ...]:
        """Every guard's verdict, in the guards' order, none waiting for another."""
        if len(self._guards) == 1:
            return (await self._guards[0].check(text),)
        return tuple(await asyncio.gather(*(guard.check(text) for guard in self._guards)))

    async def aclose(self) -> None:
        """Let go of threads the guards hold."""
        for guard in self._guards:
            await guard.aclose()
