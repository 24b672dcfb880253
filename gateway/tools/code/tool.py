"""The tool `code`.

Runs a model's Python in pydantic-monty, without files, network or host access.
"""

from __future__ import annotations

from decimal import Decimal

import structlog
from pydantic import Field

from gateway.domain.config.tools import ToolsConfig
from gateway.tools.base import ToolArguments, ToolError, ToolOutput, TurnServices, TurnTool
from gateway.tools.code.limits import MAX_CODE_CHARACTERS
from gateway.tools.code.report import CodeReport, SandboxBroken
from gateway.tools.code.sandbox import Sandbox, SandboxBusy, SandboxClosed

_NO_COST = Decimal(0)
log = structlog.get_logger(__name__)


class CodeArguments(ToolArguments):
    code: str = Field(
        min_length=1,
        max_length=MAX_CODE_CHARACTERS,
        description="The complete program, e.g. 'import math\\nmath.comb(52, 5)'; runs share no state.",
    )


class CodeTool(TurnTool[CodeArguments]):
    name = "code"
    description = (
        "Runs a short Python program and returns what it prints, the value of its last expression, or the "
        "error with its line. Each run starts afresh: no files, no network, no environment, no packages; a "
        "few seconds of time. It is a subset of Python 3: functions, closures, lambdas, comprehensions, try, "
        "with, match, async, plain classes and @dataclass work; inheritance, @property, @staticmethod, "
        "@classmethod, yield and del do not. Importable: asyncio, base64, binascii, bisect, collections, "
        "copy, csv, dataclasses, datetime, decimal, functools, hashlib, itertools, json, math, random, re, "
        "time, tomllib, typing, unicodedata."
    )
    arguments = CodeArguments

    def __init__(self, config: ToolsConfig) -> None:
        self._sandbox = Sandbox(config.code)
        self.timeout_seconds = self._sandbox.max_seconds

    async def run(self, arguments: CodeArguments) -> str:
        """Run without an account; see `run_in_turn`."""
        return (await self.run_in_turn(arguments, TurnServices())).text

    async def run_in_turn(self, arguments: CodeArguments, services: TurnServices) -> ToolOutput:
        """Run the code and return the report.

        A Python error becomes a ToolError with the traceback.
        """
        try:
            report = await self._sandbox.run(arguments.code, services.account)
        except SandboxBusy:
            raise ToolError(
                "Too many programs are running; try again later, or continue without it.", kind="busy"
            ) from None
        except SandboxClosed:
            raise ToolError("The gateway is shutting down; no code can be run.", kind="unavailable") from None
        except SandboxBroken as error:
            log.error("sandbox.unavailable", reason=str(error))
            raise ToolError(
                "Code cannot be run at the moment; continue without it.", kind="unavailable"
            ) from error
        if not report.ok:
            raise ToolError(_format_report(report), kind="code_error")
        return ToolOutput(_format_report(report), _NO_COST)

    async def aclose(self) -> None:
        await self._sandbox.aclose()


def _format_report(report: CodeReport) -> str:
    """Format the report for the model."""
    parts = (("Output", report.output), ("Result", report.result), ("Error", report.error))
    sections = [f"{title}:\n{text.rstrip()}" for title, text in parts if text.strip()]
    return "\n\n".join(sections) or "The program finished, printed nothing, and its last line has no value."
