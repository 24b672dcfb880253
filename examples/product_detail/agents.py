"""Six agents; each asks the gateway for one role and hands on what it says."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient

Mode = Literal["live", "mock", "final"]
Work = dict[str, Any]


class RoleAgent(ABC):
    """Asks for `role` with the parts of the work that `needs` names, and puts its answer at `makes`."""

    role: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    makes: ClassVar[str]

    def __init__(self, llm: AsyncLLMGatewayClient, mode: Mode | None = None) -> None:
        self._llm = llm
        self._mode: Mode | None = mode

    @property
    def name(self) -> str:
        return type(self).__name__

    async def run(self, work: Mapping[str, Any]) -> Work:
        """What this agent adds to the work.

        Raises:
            GatewayClientError: the gateway could not answer.
        """
        payload = {part: work[part] for part in self.needs if part in work}
        made = await self._llm.generate(self.role, payload, mode=self._mode)
        return {self.makes: made.data}


class BrandAgent(RoleAgent):
    role = "brand"
    needs = ("product", "notes")
    makes = "brand"


class BriefAgent(RoleAgent):
    role = "brief"
    needs = ("product", "notes", "brand")
    makes = "brief"


class StrategistAgent(RoleAgent):
    role = "strategist"
    needs = ("brand", "brief")
    makes = "structure"


class CopywriterAgent(RoleAgent):
    role = "copywriter"
    needs = ("brand", "brief", "structure")
    makes = "copy"


class VisionGeneratorAgent(RoleAgent):
    """Describes the main picture in words, then has it made."""

    role = "vision"
    needs = ("product", "brand", "copy")
    makes = "image"

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
        described = (await super().run(work))[self.makes]
        made = await self._media.generate_image(
            described["image_prompt"], negative_prompt=described["negative_prompt"] or None, **self._options
        )
        picture = made.images[0]
        return {
            self.makes: {
                **described,
                "url": picture.url,
                "width": picture.width,
                "height": picture.height,
                "content_type": picture.content_type,
            }
        }


class ReviewerAgent(RoleAgent):
    role = "reviewer"
    needs = ("brand", "brief", "copy", "image")
    makes = "review"
