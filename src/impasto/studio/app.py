"""The studio's server: its parts put together, and its life from start to end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from filelock import FileLock, Timeout

from impasto.errors import ImpastoError
from impasto.studio.answers import handle_errors
from impasto.studio.config import StudioConfig
from impasto.studio.guards import Guard
from impasto.studio.hub import Studio
from impasto.studio.models import Problems
from impasto.studio.routes.all import ROUTERS


def make_app(config: StudioConfig) -> FastAPI:
    """The application of a studio; raises `ImpastoError` where its folder is another studio's or can't be used."""
    from impasto import __version__

    config.prepare()
    lock = FileLock(config.data / "server.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ImpastoError(
            f"{config.data} belongs to a studio that is running", "use that one, or choose another folder with `data`"
        ) from None
    studio = Studio(config)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        studio.scheduler.recover()
        tasks = [asyncio.create_task(studio.scheduler.run()), asyncio.create_task(studio.sweep_forever())]
        yield
        await studio.scheduler.close()
        await studio.planner.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        studio.store.close()
        lock.release()

    app = FastAPI(
        title="Impasto Studio",
        version=__version__,
        description="Paints photos in the manner of paintings: uploads, a queue of jobs, events, pictures.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses={status: {"model": Problems} for status in (400, 401, 403, 404, 409, 413, 421, 422)},
    )
    app.state.studio, app.state.lock = studio, lock
    for router in ROUTERS:
        app.include_router(router)
    handle_errors(app)
    app.add_middleware(Guard, config=config, session=studio.session)
    return app
