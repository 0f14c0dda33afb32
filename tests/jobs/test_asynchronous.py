"""`async for event in async_events(job)`: the loop goes on, nothing is computed ahead, a cancelled task ends it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto import ImageError, Settings, Stylization, async_events
from impasto.network import weights
from impasto.run.events import Event, Finished, Started

STEP = 0.1
"""Seconds that a step of the job below takes."""


@dataclass
class Sleepy:
    """A job whose steps block their thread, with a note of what was done in which one."""

    steps: int = 5
    done: int = 0
    threads: dict[str, set[int]] = field(default_factory=dict)

    def _note(self, what: str) -> None:
        self.threads.setdefault(what, set()).add(threading.get_ident())

    def events(self) -> Iterator[Any]:
        try:
            for step in range(self.steps):
                self._note("step")
                time.sleep(STEP)
                self.done += 1
                yield step
        finally:
            self._note("closed")


async def ticks(gaps: list[float]) -> None:
    """Note how long the loop leaves a task alone that only wants to go on."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0)
        gaps.append(time.monotonic() - last)
        last += gaps[-1]


def test_the_event_loop_goes_on_while_a_step_is_computed():
    async def main() -> tuple[list[Any], list[float]]:
        gaps: list[float] = []
        ticking = asyncio.create_task(ticks(gaps))
        found = [event async for event in async_events(Sleepy())]
        ticking.cancel()
        return found, gaps

    found, gaps = asyncio.run(main())
    assert found == [*range(5)]
    assert len(gaps) > 100  # one that waits for steps ticks ten times
    assert sorted(gaps)[-5] < STEP


def test_nothing_is_computed_before_it_is_asked_for():
    async def main() -> None:
        job = Sleepy()
        async with contextlib.aclosing(async_events(job)) as events:
            async for step in events:
                await asyncio.sleep(1.5 * STEP)
                assert job.done == step + 1
                if step == 2:
                    break

    asyncio.run(main())


def test_a_cancelled_task_ends_the_run_with_the_step_that_it_is_at_in_the_thread_that_computed_it():
    job = Sleepy(steps=1000)

    async def watch() -> None:
        async for _ in async_events(job):
            pass

    async def main() -> None:
        task = asyncio.create_task(watch())
        while job.done < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.threads["closed"] == job.threads["step"]
        assert len(job.threads["step"]) == 1
        assert job.threads["step"] != {threading.get_ident()}
        assert job.done <= 4

    asyncio.run(main())


def test_leaving_the_block_closes_the_run_before_the_next_line():
    async def main() -> None:
        job = Sleepy()
        async with contextlib.aclosing(async_events(job)) as events:
            await anext(events)
        assert job.threads["closed"] == job.threads["step"]
        assert job.done == 1

    asyncio.run(main())


def test_a_function_makes_the_job_in_the_thread_that_computes_it():
    where: list[int] = []

    def make() -> Sleepy:
        where.append(threading.get_ident())
        jobs.append(Sleepy(steps=2))
        return jobs[0]

    async def main() -> list[Any]:
        return [event async for event in async_events(make)]

    jobs: list[Sleepy] = []
    assert asyncio.run(main()) == [0, 1]
    assert set(where) == jobs[0].threads["step"]


def test_no_thread_is_left_behind():
    async def main() -> None:
        async for _ in async_events(Sleepy(steps=2)):
            pass

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name.startswith("impasto"):
            thread.join(5)
            assert not thread.is_alive()


def test_a_stylization_gives_the_picture_that_it_gives_without_a_loop(monkeypatch):
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    settings = Settings(
        size=48, epochs=1, steps_per_epoch=3, scales=1, device="cpu", style_layers=("relu1_1",),
        content_layers=("relu2_2",),
    )  # fmt: skip
    images = [smooth_image(36, 48, seed=seed).float() for seed in (0, 1)]

    def make() -> Stylization:
        return Stylization(images[0], images[1:], settings)

    async def main() -> list[Event]:
        return [event async for event in async_events(make)]

    found, here = asyncio.run(main()), [*make().events()]
    assert isinstance(found[0], Started)
    assert isinstance(found[-1], Finished)
    assert isinstance(here[-1], Finished)
    assert torch.equal(found[-1].picture, here[-1].picture)
    assert [type(event) for event in found] == [type(event) for event in here]


def test_what_cannot_be_opened_is_said_to_whoever_iterates():
    async def main() -> None:
        async for _ in async_events(lambda: Stylization("no such file.jpg", ["mosaic"], Settings())):
            pass

    with pytest.raises(ImageError, match="no such file"):
        asyncio.run(main())
