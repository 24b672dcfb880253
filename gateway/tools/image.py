"""The tool `image`: has a picture made for the account of the turn, and says where it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.core.exceptions import GatewayError
from gateway.domain.images import ImageRequest
from gateway.tools.base import ToolArguments, ToolError, ToolOutput, TurnServices, TurnTool

Pixels = Annotated[int, Field(ge=16, le=8192)]


class ImageArguments(ToolArguments):
    prompt: str = Field(
        min_length=1,
        max_length=4000,
        description="What the picture is to show: subject, setting, light, style. English works best.",
    )
    negative_prompt: str = Field(default="", max_length=2000, description="What it is not to show.")
    width: Pixels | None = Field(default=None, description="Pixels; leave it out for the usual size.")
    height: Pixels | None = Field(default=None, description="Pixels; leave it out for the usual size.")


class ImageTool(TurnTool[ImageArguments]):
    name = "image"
    description = (
        "Makes one picture from a description and keeps it for the user. Use it when the user asks for a "
        "picture, drawing or photo. The result has the Markdown that shows the picture: put that into your "
        "answer as it is."
    )
    timeout_seconds = 120.0
    arguments = ImageArguments

    async def run_in_turn(self, arguments: ImageArguments, services: TurnServices) -> ToolOutput:
        if services.generate_image is None:
            raise ToolError("No pictures may be made for this caller; say so.", kind="not_allowed")
        request = ImageRequest(
            model="",
            prompt=arguments.prompt,
            negative_prompt=arguments.negative_prompt,
            width=arguments.width,
            height=arguments.height,
        )
        try:
            image = await services.generate_image(request)
        except GatewayError as error:
            # Its message is for people and tells nothing of the provider's.
            raise ToolError(f"No picture was made: {error.message}", kind=error.code) from error
        title = " ".join(arguments.prompt.replace("[", "(").replace("]", ")").split())[:80]
        markdown = f"![{title}]({image.url})"
        return ToolOutput(
            f"The picture is made ({image.width}×{image.height} pixels). Show it with:\n{markdown}",
            image.cost_usd,
        )
