"""Jobs: made, watched, changed, ended, kept."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, HTTPException, Query
from fastapi.responses import FileResponse, Response

from impasto.errors import SettingsError
from impasto.studio.groups import weigh
from impasto.studio.models import (
    ENDED,
    Cancelled,
    Created,
    Curve,
    Enlarge,
    Id,
    Job,
    JobChange,
    JobRequest,
    Jobs,
    Plan,
    State,
)
from impasto.studio.routes.parts import TheJob, TheStudio, file
from impasto.studio.runs import RunFiles

router = APIRouter(prefix="/api/v1", tags=["jobs"])

Format = Literal["png", "jpg", "webp", "tif"]
KINDS = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "tif": "image/tiff"}


@router.post("/jobs", status_code=201)
async def create(request: JobRequest, studio: TheStudio, later: BackgroundTasks) -> Created:
    """Put jobs into the queue: one, or one of each content and combination of what varies."""
    created = _added(studio, studio.orders.jobs(request), front=request.quick)
    if created.group is not None:
        later.add_task(weigh, [job.id for job in created.jobs], studio.planner, studio.scheduler)
    return created


def _added(studio: TheStudio, jobs: list, *, front: bool = False) -> Created:
    studio.check_room()
    waiting = len(studio.store.in_state(State.QUEUED, State.RUNNING))
    if waiting + len(jobs) > (most := studio.config.limits.queue):
        raise HTTPException(409, f"{waiting} jobs wait already, of {most} that may: let some end first")
    added = studio.store.add_jobs(jobs, front=front)
    for job in added:
        studio.changes.job(job)
    studio.scheduler.wake()
    return Created(jobs=added, group=added[0].group)


@router.get("/jobs")
async def listed(
    studio: TheStudio,
    search: Annotated[str, Query(max_length=200)] = "",
    state: State | None = None,
    group: Id | None = None,
    history: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 60,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Jobs:
    """Jobs, newest first; the `history` has what has ended and wasn't cancelled, of each group the newest alone."""
    return studio.store.jobs(search=search, state=state, group=group, history=history, limit=limit, before=before)


@router.get("/jobs/{id}")
async def one(job: TheJob) -> Job:
    """A job."""
    return job


@router.patch("/jobs/{id}")
async def change(job: TheJob, change: JobChange, studio: TheStudio) -> Job:
    """Change knobs while it runs or waits, its title, its pin, or its place in the queue."""
    if change.settings:
        if job.state in ENDED:
            raise HTTPException(409, "The job has ended: its settings stay as they were")
        _of_a_picture(job, "Its frames are all painted alike: begin another film with other settings")
        job = await studio.scheduler.retune(job, change.settings)
    if "before" in change.model_fields_set:
        try:
            moved = studio.store.move([job.id], change.before)
        except KeyError:
            raise HTTPException(409, "Only a job that waits has a place in the queue") from None
        for job in moved:
            studio.changes.job(job)
    if plain := change.model_dump(include={"title", "pinned"}, exclude_none=True):
        job = studio.scheduler.change(job.id, **plain)
    return job


@router.post("/jobs/{id}/pause")
async def pause(job: TheJob, studio: TheStudio) -> Job:
    """Save its state and let others go first, until `resume`."""
    _expect(job, "paused", State.QUEUED, State.RUNNING)
    return await studio.scheduler.end(job, "paused")


@router.post("/jobs/{id}/resume")
async def resume(job: TheJob, studio: TheStudio) -> Job:
    """Go on with it, to the same picture as if nothing had been."""
    _expect(job, "gone on with", State.PAUSED, State.STOPPED, State.FAILED)
    return studio.scheduler.enqueue(job)


@router.post("/jobs/{id}/stop")
async def stop(job: TheJob, studio: TheStudio) -> Job:
    """End it now and keep the picture so far."""
    _expect(job, "stopped", State.QUEUED, State.RUNNING, State.PAUSED)
    _of_a_picture(job, "A film isn't stopped half way: pause it, or paint a part of it with `to`")
    return await studio.scheduler.end(job, "stopped")


@router.post("/jobs/{id}/cancel")
async def cancel(job: TheJob, studio: TheStudio) -> Job:
    """End it now and keep nothing."""
    _expect(job, "cancelled", State.QUEUED, State.RUNNING, State.PAUSED)
    return await studio.scheduler.end(job, "cancelled")


@router.post("/jobs/{id}/again", status_code=201)
async def again(job: TheJob, studio: TheStudio) -> Job:
    """A new job of the same."""
    return _added(studio, [studio.orders.job(studio.store.spec(job.id))]).jobs[0]


@router.post("/jobs/{id}/enlarge", status_code=201)
async def enlarge(job: TheJob, wanted: Enlarge, studio: TheStudio) -> Job:
    """A new, larger job that starts from this one's picture."""
    _of_a_picture(job, "A film isn't made larger: paint it again with a larger `size`")
    if not job.has_picture:
        raise HTTPException(409, "The job has no picture to start from")
    if wanted.size <= max(job.width or 0, job.height or 0):
        raise SettingsError(
            f"`size` {wanted.size} isn't larger than the picture", "choose a larger one", knob="size", value=wanted.size
        )
    spec = studio.store.spec(job.id)
    start = await studio.images.adopt(_files(studio, job).picture, f"{job.title}.png")
    larger = spec.model_copy(update={"settings": spec.settings | {"size": wanted.size}, "init": start.id})
    return _added(studio, [studio.orders.job(larger)]).jobs[0]


@router.delete("/jobs/{id}", status_code=204)
async def remove(job: TheJob, studio: TheStudio) -> Response:
    """Put it into the bin, from which `restore` takes it for an hour; one that runs is cancelled first."""
    if job.state not in ENDED:
        await studio.scheduler.end(job, "cancelled")
    studio.scheduler.change(job.id, deleted=True)
    return Response(status_code=204)


@router.post("/jobs/{id}/restore")
async def restore(job: TheJob, studio: TheStudio) -> Job:
    """Take it out of the bin."""
    return studio.scheduler.change(job.id, deleted=False)


@router.post("/queue/cancel")
async def cancel_all(studio: TheStudio) -> Cancelled:
    """Call off all that waits or runs."""
    jobs = studio.store.in_state(State.QUEUED, State.RUNNING)
    for job in jobs:
        await studio.scheduler.end(job, "cancelled")
    return Cancelled(cancelled=len(jobs))


@router.post("/plan")
async def plan(request: JobRequest, studio: TheStudio) -> Plan:
    """What the first job of a request would take; measures the machine when it is first asked."""
    job, spec = studio.orders.jobs(request)[0]
    answer = await studio.planner.plan(studio.orders.files(job.id, spec))
    if "plan" not in answer:
        first = answer["errors"][0]
        raise SettingsError(first["fault"], first["cure"], knob=first["knob"])
    return Plan(**answer["plan"])


@router.get("/jobs/{id}/curve")
async def curve(job: TheJob, studio: TheStudio) -> Curve:
    """The loss of each step so far."""
    steps, loss = _files(studio, job).read_curve()
    return Curve(steps=steps, loss=loss)


@router.get("/jobs/{id}/preview", response_class=FileResponse)
async def preview(job: TheJob, studio: TheStudio, n: int = 0) -> FileResponse:
    """The newest preview, as JPEG; `n` is the number that a browser's cache knows it by."""
    return file(_files(studio, job).preview, "image/jpeg", forever=False)


@router.get("/jobs/{id}/thumbnail", response_class=FileResponse)
async def thumbnail(job: TheJob, studio: TheStudio) -> FileResponse:
    """The result, small; before there is one, the newest preview."""
    files = _files(studio, job)
    if files.thumbnail.is_file():
        return file(files.thumbnail, "image/webp", forever=False)
    return file(files.preview, "image/jpeg", forever=False)


@router.get("/jobs/{id}/picture", response_class=FileResponse)
@router.head("/jobs/{id}/picture", response_class=FileResponse, include_in_schema=False)
async def picture(job: TheJob, studio: TheStudio, format: Format = "png", download: bool = False) -> FileResponse:
    """The result with its recipe, in one of four formats; of a film its first frame."""
    made = _files(studio, job).picture
    if not made.is_file():
        raise HTTPException(404, "There is no such picture yet")
    path = await studio.images.converted(made, f".{format}")
    name = f"{job.title.replace('×', 'x').replace('/', '-')}.{format}"
    return file(path, KINDS[format], forever=False, download=name if download else None)


def _files(studio: TheStudio, job: Job) -> RunFiles:
    """The files in a job's folder; its inputs may have gone."""
    folder = studio.config.data / "runs" / job.id
    return RunFiles(folder, folder, (), {})


def _of_a_picture(job: Job, otherwise: str) -> None:
    if job.film is not None:
        raise HTTPException(409, otherwise)


def _expect(job: Job, what: str, *states: State) -> None:
    if job.state not in states:
        raise HTTPException(409, f"A job that is {job.state} can't be {what}")
