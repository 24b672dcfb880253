"""Log sampling by level and route: the rules of `LOG_SAMPLING`."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from structlog import DropEvent
from structlog.typing import EventDict, WrappedLogger

_RULE_PATTERN = re.compile(r"(?:(debug|info|warning|error)(?::|$))?(/\S*|\*)?")
# Levels of a rule that names none: errors are dropped only by rules that name them.
_DEFAULT_LEVELS = frozenset(("debug", "info"))


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """Keep a share `rate` of the lines of `levels` and `route`.

    A `route` that ends in `*` matches every route with that prefix.
    """

    levels: frozenset[str]
    route: str | None
    rate: float

    def matches(self, level: str, route: str | None) -> bool:
        if level not in self.levels:
            return False
        if self.route is None:
            return True
        if route is None:
            return False
        return route.startswith(self.route[:-1]) if self.route.endswith("*") else route == self.route


def parse_sampling_rules(text: str) -> tuple[SamplingRule, ...]:
    """Parse comma-separated rules `[level:]route=rate` or `level=rate`.

    Raises:
        ValueError: a rule is malformed; the message quotes it.
    """
    return tuple(_parse_rule(part.strip()) for part in text.split(",") if part.strip())


def _parse_rule(text: str) -> SamplingRule:
    target, _, number = text.rpartition("=")
    match = _RULE_PATTERN.fullmatch(target.strip())
    try:
        rate = float(number)
    except ValueError:
        rate = -1.0
    if match is None or not target.strip() or not 0 <= rate <= 1:
        raise ValueError(
            f"{text!r} is not a rule. Write level=rate, /route=rate or level:/route=rate, with a "
            f"rate from 0 to 1"
        )
    level, route = match.groups()
    return SamplingRule(
        frozenset((level,)) if level else _DEFAULT_LEVELS, None if route == "*" else route, rate
    )


class LogSampler:
    """structlog processor that drops lines by the first matching rule.

    All lines of one request under one rule are kept or dropped together. Lines that a rule matched carry its
    `sample_rate`.
    """

    def __init__(self, rules: tuple[SamplingRule, ...]) -> None:
        self._rules = rules

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        for rule in self._rules:
            if rule.matches(event["level"], event.get("route")):
                if rule.rate < 1 and _sample_value(event.get("trace_id")) >= rule.rate:
                    raise DropEvent
                event["sample_rate"] = rule.rate
                break
        return event


def _sample_value(trace_id: object) -> float:
    """Return a number from 0 to 1 that is the same for all lines of a trace."""
    if isinstance(trace_id, str):
        return int(trace_id[-8:], 16) / 2**32
    return random.random()  # noqa: S311 - sampling, not a secret
