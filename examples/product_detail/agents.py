"""Six agents. Each calls one role of the gateway and returns its result."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient

Mode = Literal["live", "mock", "final"]
Work = dict[str, Any]


class RoleAgent(ABC):
    """Calls `role` with the `inputs` of the work and returns the result under `output`."""

    role: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    output: ClassVar[str]

    def __init__(self, llm: AsyncLLMGatewayClient, mode: Mode | None = None) -> None:
        self._llm = llm
        self._mode: Mode | None = mode

    @property
    def name(self) -> str:
        return type(self).__name__

    async def run(self, work: Mapping[str, Any]) -> Work:
        """Return this agent's contribution to the work.

        Raises:
            GatewayClientError: The gateway returned an error.
        """
        payload = {part: work[part] for part in self.inputs if part in work}
        result = await self._llm.generate(self.role, payload, mode=self._mode)
        return {self.output: result.data}


class BrandAgent(RoleAgent):
    role = "brand"
    inputs = ("product", "notes")
    output = "brand"


class BriefAgent(RoleAgent):
    role = "brief"
    inputs = ("product", "notes", "brand")
    output = "brief"


class StrategistAgent(RoleAgent):
    role = "strategist"
    inputs = ("brand", "brief")
    output = "structure"


class CopywriterAgent(RoleAgent):
    role = "copywriter"
    inputs = ("brand", "brief", "structure")
    output = "copy"


class VisionGeneratorAgent(RoleAgent):
    """Describes the main image, then generates it."""

    role = "vision"
    inputs = ("product", "brand", "copy")
    output = "image"

    def __init__(
        self,
        llm: AsyncLLMGatewayClient,
        media: AsyncMediaGatewayClient,
        mode: Mode | None = None,
        **options: Any,
    ) -> None:
        super().__init__(llm, mode)
        self._media = media
        self._options = options

    async def run(self, work: Mapping[str, Any]) -> Work:
        description = (await super().run(work))[self.output]
        generated = await self._media.generate_image(
            description["image_prompt"],
            negative_prompt=description["negative_prompt"] or None,
            **self._options,
        )
        image = generated.images[0]
        return {
            self.output: {
                **description,
                "url": image.url,
                "width": image.width,
                "height": image.height,
                "content_type": image.content_type,
            }
        }


class ReviewerAgent(RoleAgent):
    role = "reviewer"
    inputs = ("brand", "brief", "copy", "image")
    output = "review"
