"""The studio's HTTP API as far as a plug-in needs it, by the standard library alone.

The plug-in for GIMP has the same lines, for it is one file; a test holds the two together.
"""

import json
import urllib.error
import urllib.parse
import urllib.request

ADDRESS = "http://127.0.0.1:8600"
STYLES = (
    "dots", "facets", "flow", "glass", "gold", "knife", "marble", "mosaic", "pastel", "watercolour", "woodcut",
)  # fmt: skip
"""The swatches that every studio has; a painting of one's own is given as a file."""

COLOURS = ("style", "keep", "match", "tint")
ENDED = ("done", "stopped", "failed", "cancelled")
POLL, WAIT = 0.25, 60
"""Seconds between two questions about a job, and those that an answer may take."""


class StudioError(Exception):
    """The studio refused something, or isn't there; its text is one sentence."""


class Cancelled(Exception):  # noqa: N818
    """The user wants no picture any more."""


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for one host alone."""

    def redirect_request(self, *given):
        """No request."""
        return


class Studio:
    """The studio's HTTP API, as far as a plug-in needs it; every method raises `StudioError`."""

    def __init__(self, address, token):
        parts = urllib.parse.urlsplit(address.strip())
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise StudioError(f"The address {address!r} is none of a studio: give one like {ADDRESS}.")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self.token = token.strip() or parts.fragment  # the address that the studio prints has its token at the end
        self._opener = urllib.request.build_opener(SameHost)

    def ask(self, method, path, body=None):
        """The bytes of an answer; a body is a file's bytes or becomes JSON."""
        raw = isinstance(body, bytes)
        data = body if raw or body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.address}/api/v1{path}", data, method=method)
        if data is not None:
            asked.add_header("Content-Type", "application/octet-stream" if raw else "application/json")
        if self.token:
            asked.add_header("Authorization", f"Bearer {self.token}")
        try:
            with self._opener.open(asked, timeout=WAIT) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise StudioError(refusal(error)) from None
        except OSError as error:
            cause = getattr(error, "reason", error)
            raise StudioError(
                f"There is no studio at {self.address} ({cause}): start it with 'impasto studio'."
            ) from None

    def upload(self, path, role):
        """The id of a picture that was sent."""
        query = urllib.parse.urlencode({"name": path.name, "role": role})
        return json.loads(self.ask("POST", f"/images?{query}", path.read_bytes()))["id"]

    def create(self, request):
        """A new job."""
        return json.loads(self.ask("POST", "/jobs", request))["jobs"][0]

    def job(self, number):
        """A job as it is now."""
        return json.loads(self.ask("GET", f"/jobs/{number}"))


def refusal(error):
    """What the studio says is wrong, as one sentence."""
    try:
        return json.loads(error.read())["errors"][0]["message"]
    except (ValueError, KeyError, IndexError):
        return f"The studio answered {error.code} {error.reason}."


def followed(studio, job, waiting):
    """A job once it has ended; raises `Cancelled`, after the studio was told, and `StudioError`."""
    try:
        while job["state"] not in ENDED:
            progress = job["progress"]
            if progress is None:
                waiting.show(0.0, "Waiting in the studio's queue" if job["state"] == "queued" else "Beginning")
            else:
                left = f"{progress['seconds_left']:.0f} s left"
                waiting.show(progress["share"], f"Step {progress['step']} of {progress['steps']}, {left}")
            waiting.pause(POLL)
            job = studio.job(job["id"])
    except Cancelled:
        studio.ask("POST", f"/jobs/{job['id']}/cancel")
        raise
    if job["state"] == "failed":
        raise StudioError(job["error"]["message"])
    if job["state"] == "cancelled":
        raise Cancelled
    return job


def painted(studio, layer, style, settings, waiting, folder):
    """A PNG file of a layer's file painted; raises `Cancelled` or `StudioError`."""
    job = studio.create(
        {
            "contents": [studio.upload(layer, "content")],
            "styles": [{"swatch": style} if isinstance(style, str) else {"image": studio.upload(style, "style")}],
            "settings": settings,
        }
    )
    job = followed(studio, job, waiting)
    result = folder / "painted.png"
    result.write_bytes(studio.ask("GET", f"/jobs/{job['id']}/picture?format=png"))
    return result
