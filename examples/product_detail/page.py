"""The flow's result as one JSON file, rewritten completely after every agent."""

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
    """Create the agents of the flow in order; `image` has the options of the image generation."""
    return [
        BrandAgent(llm, mode),
        BriefAgent(llm, mode),
        StrategistAgent(llm, mode),
        CopywriterAgent(llm, mode),
        VisionGeneratorAgent(llm, media, mode, **image),
        ReviewerAgent(llm, mode),
    ]


class Page:
    """The result in `file`: input, mode, results by part, seconds by agent, and the failed agent, if any.

    `on_progress` receives the number of finished agents.
    """

    def __init__(
        self,
        file: Path,
        start: Work,
        mode: Mode | None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.file = file
        self.report: dict[str, Any] = {"input": start, "mode": mode or "live", "results": {}, "seconds": {}}
        self._on_progress = on_progress

    async def run(self, agents: list[RoleAgent], media: AsyncMediaGatewayClient, base_url: str) -> None:
        """Run the agents and download the image to a file next to the result.

        Raises:
            AgentFailed: An agent failed; the file has the earlier results and the agent's name.
        """
        started = step_started = time.perf_counter()
        results, seconds = self.report["results"], self.report["seconds"]
        try:
            async for name, added in run_flow(agents, self.report["input"]):
                results |= added
                if (image := added.get("image")) is not None:
                    await self._fetch(name, image, media, base_url)
                now = time.perf_counter()
                seconds[name], step_started = round(now - step_started, 2), now
                self.write()
                self._on_progress(len(seconds))
        except AgentFailed as failure:
            self.report["failed"] = {"agent": failure.agent, "error": str(failure.__cause__)}
            self.write()
            raise
        seconds["total"] = round(time.perf_counter() - started, 2)
        self.write()

    def write(self) -> None:
        """Replace the file atomically."""
        temporary = self.file.with_name(f".{self.file.name}.tmp")
        temporary.write_text(json.dumps(self.report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.file)

    async def _fetch(
        self, agent: str, image: dict[str, Any], media: AsyncMediaGatewayClient, base_url: str
    ) -> None:
        try:
            content = await media.fetch(image["url"])
        except Exception as error:
            raise AgentFailed(agent, error) from error
        file = self.file.with_suffix(f".{image['content_type'].partition('/')[2]}")
        file.write_bytes(content)
        image["address"] = base_url.rstrip("/") + image["url"]
        image["file"] = file.name
