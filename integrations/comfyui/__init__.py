"""Impasto for ComfyUI: neural style transfer and texture synthesis as nodes, by comfy_api's V3."""

from comfy_api.v0_0_2 import ComfyExtension, io

from .nodes import AdvancedSettings, StyleTransfer, Texture


class ImpastoExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes of this package."""
        return [StyleTransfer, Texture, AdvancedSettings]


async def comfy_entrypoint() -> ImpastoExtension:
    """Where ComfyUI begins."""
    return ImpastoExtension()
