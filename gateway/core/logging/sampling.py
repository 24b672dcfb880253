"""Which log lines are kept, by level and route: the rules of `LOG_SAMPLING`."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from structlog import DropEvent
from structlog.typing import EventDict, WrappedLogger

_RULE_PATTERN = re.compile(r"(?:(debug|info|warning|error)(?::|$))?(/\S*|\*)?")
# What a rule without a level is about: nobody loses an error by a rule that does not name it.
_DEFAULT_LEVELS = frozenset(("debug", "info"))


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """`rate` of the lines of `levels`; of `route`, or where it ends in `*`, of all routes that begin so."""

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
    """`[level:]route=rate` or `level=rate`, comma-separated; rates from 0 to 1.

    Raises:
        ValueError: a rule is none; the message says which.
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
            f"{text!r} is no rule: write level=rate, /route=rate or level:/route=rate, the rate from 0 to 1"
        )
    level, route = match.groups()
    return SamplingRule(
        frozenset((level,)) if level else _DEFAULT_LEVELS, None if route == "*" else route, rate
    )


class LogSampler:
    """A processor of structlog that drops lines by the first rule that covers them.

    A request's lines of one rule are kept or dropped together. What is kept of less than all says so:
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
    """From 0 to 1, the same for all lines of a trace."""
    if isinstance(trace_id, str):
        return int(trace_id[-8:], 16) / 2**32
    return random.random()  # noqa: S311 - a sample, no secret
