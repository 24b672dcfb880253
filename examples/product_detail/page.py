"""The flow's result as one JSON file that is whole after every agent, whatever becomes of the next one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.product_detail.agents import (
    BrandAgent,
    BriefAgent,
    CopywriterAgent,
    Mode,
    ReviewerAgent,
    RoleAgent,
    StrategistAgent,
    VisionGeneratorAgent,
    Work,
)
from examples.product_detail.flow import AgentFailed, run_flow
from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient


def six_agents(
    llm: AsyncLLMGatewayClient, media: AsyncMediaGatewayClient, mode: Mode | None = None, **image: Any
) -> list[RoleAgent]:
    """Those of the flow, in order; `image` goes to the one that has the picture made."""
    return [
        BrandAgent(llm, mode),
        BriefAgent(llm, mode),
        StrategistAgent(llm, mode),
        CopywriterAgent(llm, mode),
        VisionGeneratorAgent(llm, media, mode, **image),
        ReviewerAgent(llm, mode),
    ]


class Page:
    """What is written to `file`: input, mode, results by part, seconds by agent, and who failed, if anybody.

    `advanced` is told how many agents are done.
    """

    def __init__(
        self, file: Path, start: Work, mode: Mode | None, advanced: Callable[[int], None] = lambda done: None
    ) -> None:
        self.file = file
        self.report: dict[str, Any] = {"input": start, "mode": mode or "live", "results": {}, "seconds": {}}
        self._advanced = advanced

    async def make(self, agents: list[RoleAgent], media: AsyncMediaGatewayClient, base_url: str) -> None:
        """Run the agents, then fetch the picture to a file beside.

        Raises:
            AgentFailed: what was done before is in the file, with the name of who failed.
        """
        began = step = time.perf_counter()
        results, seconds = self.report["results"], self.report["seconds"]
        try:
            async for name, added in run_flow(agents, self.report["input"]):
                results |= added
                if (picture := added.get("image")) is not None:
                    await self._fetch(name, picture, media, base_url)
                now = time.perf_counter()
                seconds[name], step = round(now - step, 2), now
                self.write()
                self._advanced(len(seconds))
        except AgentFailed as failure:
            self.report["failed"] = {"agent": failure.agent, "error": str(failure.__cause__)}
            self.write()
            raise
        seconds["total"] = round(time.perf_counter() - began, 2)
        self.write()

    def write(self) -> None:
        """Beside its place, then moved: there is no moment at which the file is half there."""
        half = self.file.with_name(f".{self.file.name}.half")
        half.write_text(json.dumps(self.report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        half.replace(self.file)

    async def _fetch(
        self, agent: str, picture: dict[str, Any], media: AsyncMediaGatewayClient, base_url: str
    ) -> None:
        try:
            content = await media.fetch(picture["url"])
        except Exception as error:
            raise AgentFailed(agent, error) from error
        file = self.file.with_suffix(f".{picture['content_type'].partition('/')[2]}")
        file.write_bytes(content)
        picture["address"] = base_url.rstrip("/") + picture["url"]
        picture["file"] = file.name
