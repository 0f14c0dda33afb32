# pyright: strict
"""Every public name as a program uses it: pyright reads this in its strict mode (./check), nobody runs it."""

import asyncio
import contextlib

import PIL.Image
from torch import Tensor

import impasto
from impasto.client import StudioClient


def painted() -> PIL.Image.Image:
    knobs: impasto.Knobs = {"size": 512, "strength": 0.6}
    settings = impasto.Settings(**knobs)
    job = impasto.Stylization("photo.jpg", ["painting.jpg"], settings)
    for event in job.events():
        repr(event)
        job.change(strength=0.7)
    texture = impasto.Texture("painting.jpg", (512, 256), settings, seamless=True)
    for event in texture.events():
        repr(event)
    made: PIL.Image.Image = impasto.synthesize("painting.jpg", (512, 256), epochs=3)
    made.save("texture.png")
    return impasto.stylize("photo.jpg", "painting.jpg", progress=impasto.LivePreview(side=256), settings=settings)


async def watched() -> PIL.Image.Image | None:
    def make() -> impasto.Stylization:
        return impasto.Stylization("photo.jpg", ["painting.jpg"], impasto.Settings(size=512))

    async with contextlib.aclosing(impasto.async_events(make)) as events:
        async for event in events:
            repr(event)
    widget = impasto.StylizationWidget("photo.jpg", ["mosaic"], size=512, strength=0.4)
    widget.start()
    widget.stop()
    return await widget.done()


def features(network: impasto.VGG19, image: Tensor) -> Tensor:
    return network.features(image, ["relu4_1"])["relu4_1"]


def asked() -> str:
    studio = StudioClient("http://127.0.0.1:8600", token=None)
    begun = studio.paint("photo.jpg", "mosaic", size=512)
    *_, job = studio.follow(begun["id"])
    return str(studio.save(job["id"], "painted.png"))


def wrong() -> list[str]:
    errors = (
        impasto.SettingsError,
        impasto.ImageError,
        impasto.WeightsError,
        impasto.DivergedError,
        impasto.ImpastoError,
    )
    try:
        painted()
        asyncio.run(watched())
    except errors as error:
        return [error.fault, error.cure, error.knob or "", *error.sentences()]
    return [asked(), impasto.__version__]
