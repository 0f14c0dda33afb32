"""What a node asks of ComfyUI while it runs: progress and previews, cancelling, the device and the memory it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Protocol

import comfy.model_management as management
import comfy.utils
import psutil
import torch

from impasto import Settings, SettingsError
from impasto.images.writing import to_pil
from impasto.run.events import Event, Finished, Started, Stepped
from impasto.run.remaining import share_done

KNOWN_DEVICES = ("cpu", "cuda", "mps")
SHARE_OF_FREE = 0.7
"""Of what ComfyUI says is free; the rest is for what it does meanwhile."""

PREVIEW_SECONDS, PREVIEW_SIDE = 0.5, 512
RESOLUTION = 1000
"""Ticks of ComfyUI's progress bar for one picture."""


class Job(Protocol):
    """A `Stylization` or a `Texture`."""

    def events(self) -> Iterator[Event]:
        """The run's events."""
        ...


@contextmanager
def gradients() -> Iterator[None]:
    """Where gradients can be had of what is made in it: ComfyUI runs nodes under inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def planes(image: torch.Tensor) -> list[torch.Tensor]:
    """Copies of the images of a batch (n, h, w, c) as (1, 3, h, w) in [0, 1], made within `gradients`."""
    return [one[..., :3].permute(2, 0, 1)[None].clone().float().clamp(0, 1) for one in image]


def mask_planes(mask: torch.Tensor | None) -> list[torch.Tensor]:
    """Copies of the masks of a batch (n, h, w) as (1, h, w) in [0, 1], made within `gradients`; none of no mask."""
    return [] if mask is None else [one[None].clone().float().clamp(0, 1) for one in mask]


def fitted(settings: Settings) -> Settings:
    """`settings` on ComfyUI's device, within the memory that it says is free, where they leave that open."""
    chosen: dict[str, Any] = {}
    device = management.get_torch_device() if settings.device == "auto" else torch.device(settings.device)
    if device.type not in KNOWN_DEVICES:
        device = torch.device("cpu")
    if settings.device == "auto":
        chosen["device"] = str(device)
    if settings.max_memory == "auto":
        chosen["max_memory"] = f"{memory_budget(device) // 1_000_000}MB"
    return Settings(**settings.model_dump() | chosen) if chosen else settings


def memory_budget(device: torch.device) -> int:
    """Bytes that may be held on a device: all that is there already, and most of what ComfyUI says is free."""
    free = max(0, int(management.get_free_memory(device)) - int(management.extra_reserved_memory()))
    if device.type == "cuda":
        left, total = torch.cuda.mem_get_info(device)
        held = total - left
    else:
        held = psutil.Process().memory_info().rss
    return held + int(SHARE_OF_FREE * free)


def made(make: Callable[[Settings], Job], settings: Settings) -> Job:
    """The job that `make` makes of fitted settings; if it doesn't fit, ComfyUI is asked to unload its models.

    Raises `ImpastoError`.
    """
    try:
        return make(fitted(settings))
    except SettingsError as error:
        if error.knob != "size" or settings.max_memory != "auto":
            raise
        management.unload_all_models()
        management.soft_empty_cache()
        return make(fitted(settings))


def painted(job: Job, bar: Any, number: int) -> torch.Tensor:
    """The picture (1, 3, h, w) of a job, the batch's `number`th, told to a progress bar; ends at once if cancelled."""
    started: Started | None = None
    shown_at = float("-inf")
    with closing(job.events()) as events:  # pyright: ignore[reportArgumentType]
        for event in events:
            management.throw_exception_if_processing_interrupted()
            match event:
                case Started():
                    started = event
                case Stepped() if started is not None:
                    preview = None
                    if time.monotonic() - shown_at >= PREVIEW_SECONDS:
                        preview, shown_at = ("JPEG", to_pil(event.picture()), PREVIEW_SIDE), time.monotonic()
                    bar.update_absolute(int(RESOLUTION * (number + share_done(started, event))), preview=preview)
                case Finished():
                    bar.update_absolute(RESOLUTION * (number + 1))
                    return event.picture
                case _:
                    pass
    raise AssertionError("a run ends with Finished")


def batch(make: Callable[[int, Settings], Job], count: int, settings: Settings) -> torch.Tensor:
    """The pictures of `count` jobs, each made by its number when it is its turn, as ComfyUI's IMAGE (n, h, w, 3).

    Raises `ImpastoError`, or ComfyUI's own exception where it was cancelled.
    """
    bar = comfy.utils.ProgressBar(RESOLUTION * count)
    pictures: list[torch.Tensor] = []
    for number in range(count):
        job = made(partial(make, number), settings)
        pictures.append(painted(job, bar, number)[0].permute(1, 2, 0))
    return torch.stack(pictures).contiguous().to(management.intermediate_device())
