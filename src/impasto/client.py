"""A client of the studio's HTTP API, with Python's own library alone: what GIMP, Krita and scripts may use.

from impasto.client import StudioClient

studio = StudioClient("http://127.0.0.1:8600")
job = studio.paint("photo.jpg", "painting.jpg", size=512, strength=0.6)
for job in studio.follow(job["id"]):
    print(job["state"], job["progress"])
studio.save(job["id"], "painted.png")
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError

ENDED = frozenset({"done", "stopped", "failed", "cancelled"})
"""States that a job doesn't leave by itself."""

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp", ".tif": "tif", ".tiff": "tif"}


class StudioError(ImpastoError):
    """The studio refused something, or isn't there; `status` is HTTP's, 0 where there was no answer."""

    def __init__(self, fault: str, cure: str = "", *, knob: str | None = None, status: int = 0) -> None:
        super().__init__(fault, cure, knob=knob)
        self.status: int = status


class StudioClient:
    """A studio at an address; every method raises `StudioError`. `seconds` is how long an answer may take."""

    def __init__(self, address: str = "http://127.0.0.1:8600", token: str | None = None, seconds: float = 60) -> None:
        self.address: str = address.rstrip("/")
        self.token: str | None = token
        self.seconds: float = seconds

    def upload(self, file: str | Path, role: str = "any") -> dict[str, Any]:
        """Send a picture or a film; the same bytes give the same image. `role` is content, style, mask or any."""
        path = Path(file)
        query = urllib.parse.urlencode({"name": path.name, "role": role})
        return self._json("POST", f"/images?{query}", path.read_bytes())

    def paint(
        self,
        content: str | Path,
        *styles: str | Path,
        preset: str | None = None,
        masks: list[str | Path | None] | None = None,
        film: dict[str, Any] | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Send a photo or a film and its styles, files or swatches' names, and put a job into the queue; the job.

        `film` are the options of a film, such as {"quality": "draft", "from": "12", "to": "1:02.5", "every": 2}.
        """
        shown = {swatch["name"] for swatch in self._json("GET", "/swatches")}
        return self.create(
            contents=[self.upload(content, "content")["id"]],
            styles=[
                {"swatch": str(style)}
                if str(style) in shown and not Path(style).exists()
                else {"image": self.upload(style, "style")["id"]}
                for style in styles
            ],
            masks=[None if mask is None else self.upload(mask, "mask")["id"] for mask in masks or ()],
            preset=preset,
            settings=settings,
            **({} if film is None else {"film": film}),  # which a studio of before films doesn't know
        )["jobs"][0]

    def create(self, **request: Any) -> dict[str, Any]:
        """Put jobs into the queue: the body of POST /jobs, and its answer."""
        return self._json("POST", "/jobs", request)

    def plan(self, **request: Any) -> dict[str, Any]:
        """What a request's first job would take."""
        return self._json("POST", "/plan", request)

    def job(self, id: str) -> dict[str, Any]:
        """A job as it is now."""
        return self._json("GET", f"/jobs/{id}")

    def jobs(self, search: str = "", state: str | None = None) -> list[dict[str, Any]]:
        """Jobs, newest first."""
        query = {"search": search, "limit": 200} | ({} if state is None else {"state": state})
        return self._json("GET", f"/jobs?{urllib.parse.urlencode(query)}")["jobs"]

    def group(self, id: str) -> dict[str, Any]:
        """The jobs of a request as one: counts, the share that is done, seconds left."""
        return self._json("GET", f"/groups/{id}")

    def save_folder(self, group: str, file: str | Path) -> Path:
        """Write a group's folder, which `impasto batch` goes on with, as a ZIP file."""
        path = Path(file)
        with self._request("GET", f"/groups/{group}/folder") as answer, path.open("wb") as target:
            shutil.copyfileobj(answer, target)
        return path

    def change(self, id: str, **changes: Any) -> dict[str, Any]:
        """Change a job: `settings` while it runs, `title`, `pinned`, `before`."""
        return self._json("PATCH", f"/jobs/{id}", changes)

    def act(self, id: str, action: str) -> dict[str, Any]:
        """'pause', 'resume', 'stop', 'cancel', 'again' or 'restore' a job."""
        return self._json("POST", f"/jobs/{id}/{action}")

    def delete(self, id: str) -> None:
        """Put a job into the bin."""
        self._request("DELETE", f"/jobs/{id}").close()

    def follow(self, id: str) -> Iterator[dict[str, Any]]:
        """A job now and at each change, until it has ended; an interrupted connection is taken up again."""
        last: str | None = None
        yield (job := self.job(id))
        while job["state"] not in ENDED:
            with contextlib.suppress(OSError, http.client.HTTPException, StudioError):
                for kind, number, data in self.events(last):
                    last = number or last
                    if kind == "reset" or data.get("id") == id:
                        yield (job := self.job(id) if kind == "reset" else data)
                        if job["state"] in ENDED:
                            return
            yield (job := self._job_again(id))

    def _job_again(self, id: str) -> dict[str, Any]:
        """A job as it is when the studio, which may be starting again, answers."""
        end = time.monotonic() + self.seconds
        while True:
            try:
                return self.job(id)
            except StudioError as error:
                if error.status or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def events(self, last: str | None = None) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
        """What changes: kind, number and data of each event, from after the one with the number `last` on."""
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        with self._request("GET", "/events", headers=headers) as stream:
            fields: dict[str, str] = {}
            for line in stream:
                text = line.decode().rstrip("\r\n")
                if not text and "data" in fields:
                    yield fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])
                if not text:
                    fields = {}
                elif not text.startswith(":"):
                    name, _, value = text.partition(":")
                    fields[name] = value.removeprefix(" ")

    def save(self, id: str, file: str | Path) -> Path:
        """Write a job's picture as the file's name says: .png, .jpg, .webp or .tif; its recipe is inside.

        A film is written as .mp4; its picture is the first frame.
        """
        path = Path(file)
        if path.suffix.lower() == ".mp4":
            with self._request("GET", f"/jobs/{id}/film") as answer, path.open("wb") as target:
                shutil.copyfileobj(answer, target)
            return path
        if (kind := FORMATS.get(path.suffix.lower())) is None:
            raise StudioError(f"{path.name} has no known kind", f"end it in one of {', '.join((*FORMATS, '.mp4'))}")
        with self._request("GET", f"/jobs/{id}/picture?format={kind}") as answer:
            path.write_bytes(answer.read())
        return path

    def _json(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Any:
        raw = isinstance(body, bytes)
        data = body if raw or body is None else json.dumps(body).encode()
        kind = "application/octet-stream" if raw else "application/json"
        with self._request(method, path, data, {"Content-Type": kind} if data is not None else {}) as answer:
            return json.loads(answer.read())

    def _request(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Any:
        asked = urllib.request.Request(f"{self.address}/api/v1{path}", data, headers or {}, method=method)
        if self.token is not None:
            asked.add_header("Authorization", f"Bearer {self.token}")
        try:
            return urllib.request.urlopen(asked, timeout=self.seconds)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is one
            cause = getattr(error, "reason", error)
            if data is not None and isinstance(cause, BrokenPipeError | ConnectionResetError):
                raise StudioError("The studio broke off the request", "send less, such as a smaller picture") from None
            raise StudioError(
                f"There is no studio at {self.address} ({cause})", "start it with 'impasto studio'"
            ) from None

    def _refused(self, error: urllib.error.HTTPError) -> StudioError:
        try:
            first = json.loads(error.read())["errors"][0]
        except (ValueError, KeyError, IndexError):
            return StudioError(f"The studio answered {error.code} {error.reason}", status=error.code)
        return StudioError(first["fault"], first["cure"], knob=first["knob"], status=error.code)
