"""The tool `image`: generates an image on behalf of the turn's account."""

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
        description="What the image shows: subject, setting, light, style. English works best.",
    )
    negative_prompt: str = Field(default="", max_length=2000, description="What the image must not show.")
    width: Pixels | None = Field(default=None, description="Pixels; leave it out for the default size.")
    height: Pixels | None = Field(default=None, description="Pixels; leave it out for the default size.")


class ImageTool(TurnTool[ImageArguments]):
    name = "image"
    description = (
        "Generates one image from a description and stores it for the user. Use it when the user asks for an "
        "image, picture, drawing or photo. The result contains Markdown that shows the image: put it into "
        "your answer unchanged."
    )
    timeout_seconds = 120.0
    arguments = ImageArguments

    async def run_in_turn(self, arguments: ImageArguments, services: TurnServices) -> ToolOutput:
        if services.generate_image is None:
            raise ToolError("This caller may not generate images; tell the user so.", kind="not_allowed")
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
            # Its message is written for users and contains no text of the provider.
            raise ToolError(f"No image was generated: {error.message}", kind=error.code) from error
        title = " ".join(arguments.prompt.replace("[", "(").replace("]", ")").split())[:80]
        markdown = f"![{title}]({image.url})"
        return ToolOutput(
            f"The image is generated ({image.width}×{image.height} pixels). Show it with:\n{markdown}",
            image.cost_usd,
        )
