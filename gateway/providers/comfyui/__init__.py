"""A ComfyUI server: images from workflows."""

from gateway.domain.config.provider_types import ProviderType

PROVIDER_TYPE = ProviderType(
    name="comfyui",
    images="gateway.providers.comfyui.images:ComfyUIImages",
    free_to_run=True,
    env_key="COMFYUI_URL",
    setup_hint="start it, or set COMFYUI_URL to its address.",
)
