"""The nodes: style transfer, textures, and all further settings.

A new widget comes last in its node, and none is moved: saved workflows have their values by place (`SAVED_ORDER`).
"""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.v0_0_2 import io

from impasto import Settings, Stylization
from impasto import Texture as TextureJob
from impasto.jobs.network import load_network

from . import host, schema

CATEGORY = "image/Impasto"
AdvancedType = io.Custom("IMPASTO_SETTINGS")
ELSEWHERE = {"strength", "style_scale", "color", "size", "seed"}
"""The settings that have a widget on the other nodes."""


def advanced_input() -> Any:
    """Where the node with all further settings is plugged in."""
    return AdvancedType.Input("settings", display_name="Settings", optional=True, tooltip="From Impasto Settings.")


class StyleTransfer(io.ComfyNode):
    """A batch of photos, each painted in the manner of a painting, or of several that share it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Its inputs and outputs."""
        return io.Schema(
            node_id="ImpastoStyleTransfer",
            display_name="Impasto Style Transfer",
            category=CATEGORY,
            description="Paints photos in the manner of a painting: neural style transfer with VGG19. A batch of "
            "styles shares each picture. It runs until it converges, so give it the size that you want to see.",
            search_aliases=["neural style transfer", "gatys", "painting", "nst"],
            inputs=[
                io.Image.Input("content", display_name="Content", tooltip="The photo, or a batch of photos."),
                io.Image.Input("style", display_name="Style", tooltip="The painting; a batch shares each picture."),
                schema.widget("strength"),
                schema.widget("style_scale", words=False, display_name="Stroke size"),
                schema.widget("color", display_name="Colour"),
                io.Int.Input(
                    "size", default=512, min=0, max=65536, display_name="Size",
                    tooltip="Longest side of the result in pixels; 0 is the photo's own.",
                ),
                schema.preset_input(),
                schema.seed_input(),
                io.Mask.Input("mask", optional=True, tooltip="White where it is painted; the photo stays elsewhere."),
                advanced_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The painted pictures.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        content: torch.Tensor,
        style: torch.Tensor,
        size: int,
        preset: str,
        seed: int,
        mask: torch.Tensor | None = None,
        settings: dict[str, Any] | None = None,
        **main: Any,
    ) -> io.NodeOutput:
        """The painted batch; raises `ImpastoError`, or ComfyUI's own exception where it was cancelled."""
        given = schema.changed(main) | {"size": size or "original", "seed": seed}
        chosen = schema.settings_of(preset, settings, given)
        with host.gradients():
            photos, styles, masks = host.planes(content), host.planes(style), host.mask_planes(mask)
            network = load_network(host.fitted(chosen))

            def job(number: int, settings: Settings) -> Stylization:
                where = [masks[min(number, len(masks) - 1)]] * len(styles) if masks else []
                return Stylization(photos[number], styles, settings, masks=where, network=network)

            return io.NodeOutput(host.batch(job, len(photos), chosen))


class Texture(io.ComfyNode):
    """A texture of each painting of a batch, alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Its inputs and outputs."""
        return io.Schema(
            node_id="ImpastoTexture",
            display_name="Impasto Texture",
            category=CATEGORY,
            description="Makes a texture in the manner of a painting, of any size; seamless ones tile.",
            search_aliases=["texture synthesis", "seamless", "tile"],
            inputs=[
                io.Image.Input("style", display_name="Style", tooltip="The painting; each of a batch gives a texture."),
                io.Int.Input("width", default=512, min=16, max=65536, display_name="Width"),
                io.Int.Input("height", default=512, min=16, max=65536, display_name="Height"),
                io.Boolean.Input(
                    "seamless", default=False, display_name="Seamless", tooltip="Copies side by side show no seam."
                ),
                schema.preset_input(),
                schema.seed_input(),
                advanced_input(),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The textures.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        style: torch.Tensor,
        width: int,
        height: int,
        seamless: bool,
        preset: str,
        seed: int,
        settings: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        """The batch of textures; raises `ImpastoError`, or ComfyUI's own exception where it was cancelled."""
        chosen = schema.settings_of(preset, settings, {"seed": seed})
        with host.gradients():
            styles = host.planes(style)

            def job(number: int, settings: Settings) -> TextureJob:
                return TextureJob(styles[number], (width, height), settings, seamless=seamless)

            return io.NodeOutput(host.batch(job, len(styles), chosen))


class AdvancedSettings(io.ComfyNode):
    """Every setting that the other nodes have no widget for, made of the settings' declarations."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Its inputs and outputs."""
        return io.Schema(
            node_id="ImpastoSettings",
            display_name="Impasto Settings",
            category=CATEGORY,
            description="All further settings. What is left at its default is the preset's, if there is one.",
            inputs=schema.advanced_inputs(ELSEWHERE),
            outputs=[AdvancedType.Output(display_name="settings")],
        )

    @classmethod
    def execute(cls, **given: Any) -> io.NodeOutput:
        """The settings that aren't at their defaults; the node that paints says what is wrong with them."""
        now = schema.advanced_names(ELSEWHERE)
        return io.NodeOutput(schema.changed({name: given[name] for name in now if name in given}))
