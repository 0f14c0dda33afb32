#!/usr/bin/env python3
"""A plug-in for GIMP 3: paints a layer in the manner of a painting, by an Impasto studio, as a new layer above it.

Put this file, executable, at plug-ins/impasto/impasto.py in GIMP's folder (Edit, Preferences, Folders, Plug-ins), start
`impasto studio`, and find it at Filters, Artistic, "Paint in a style…". It needs nothing but GIMP's own Python.
"""

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject, Gtk  # noqa: E402

NAME = "impasto-paint-layer"

# From here to `painted` it is integrations/krita/impasto_krita/studio.py, to the letter: each plug-in stands alone.

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


class Waiting:
    """GIMP's progress bar; in a session with windows a small one too, whose button cancels the job.

    GIMP kills a plug-in whose own progress bar is cancelled, and the studio would paint on.
    """

    def __init__(self, interactive):
        Gimp.progress_init("Painting by Impasto")
        self.cancelled, self._window = False, None
        if interactive:
            self._window = Gtk.Dialog(title="Painting by Impasto")
            self._window.set_default_size(420, -1)
            self._window.add_button("_Cancel", Gtk.ResponseType.CANCEL)
            self._window.connect("response", self._on_response)
            self._bar = Gtk.ProgressBar(show_text=True)
            self._window.get_content_area().add(self._bar)
            self._window.show_all()

    def _on_response(self, *given):
        self.cancelled = True

    def show(self, share, text):
        """Tell how far it is, and let GTK do what it has to."""
        Gimp.progress_update(share)
        Gimp.progress_set_text(text)
        if self._window is not None:
            self._bar.set_fraction(share)
            self._bar.set_text(text)
            while Gtk.events_pending():
                Gtk.main_iteration()

    def pause(self, seconds):
        """Wait, with an eye on the button; raises `Cancelled`."""
        end = time.monotonic() + seconds
        while not self.cancelled and time.monotonic() < end:
            time.sleep(0.02)
            while self._window is not None and Gtk.events_pending():
                Gtk.main_iteration()
        if self.cancelled:
            raise Cancelled

    def close(self):
        """Take it off the screen."""
        if self._window is not None:
            self._window.destroy()
        Gimp.progress_end()


def write_layer(image, layer, file):
    """Save a layer alone, as large as it is, with the image's depth and colour profile, as PNG."""
    width, height = layer.get_width(), layer.get_height()
    alone = Gimp.Image.new_with_precision(width, height, image.get_base_type(), image.get_precision())
    try:
        if (profile := image.get_color_profile()) is not None:
            alone.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        copy.set_visible(True)
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, Gio.File.new_for_path(str(file)), None)
    finally:
        alone.delete()


def insert_above(image, layer, file, name):
    """The picture in a file as a new layer over `layer`, as large as it is, showing where something is selected."""
    new = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(file)))
    image.undo_group_start()
    try:
        new.set_name(name)
        image.insert_layer(new, layer.get_parent(), image.get_item_position(layer))
        if (new.get_width(), new.get_height()) != (layer.get_width(), layer.get_height()):
            new.scale(layer.get_width(), layer.get_height(), False)
        _, x, y = layer.get_offsets()
        new.set_offsets(x, y)
        if not Gimp.Selection.is_empty(image):
            new.add_mask(new.create_mask(Gimp.AddMaskType.SELECTION))
    finally:
        image.undo_group_end()
    Gimp.displays_flush()


def paint_layer(procedure, run_mode, image, drawables, config, data):
    """What the menu's entry does."""
    interactive = run_mode == Gimp.RunMode.INTERACTIVE
    if interactive:
        GimpUi.init(NAME)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Paint in a style")
        dialog.fill(None)
        wanted = dialog.run()
        dialog.destroy()
        if not wanted:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    if len(drawables) != 1:
        return failed(procedure, f"{len(drawables)} layers are chosen: choose one.")
    (layer,) = drawables
    file = config.get_property("style-file")
    style = config.get_property("style") if file is None else Path(file.get_path())
    size = min(config.get_property("size"), max(layer.get_width(), layer.get_height()))
    settings = {"strength": config.get_property("strength"), "size": size, "color": config.get_property("colour")}
    waiting = Waiting(interactive)
    try:
        studio = Studio(
            config.get_property("address") or "", config.get_property("token") or ""
        )  # GIMP keeps "" as None
        with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
            given = Path(folder) / f"{layer.get_name().replace('/', '-')[:80]}.png"
            write_layer(image, layer, given)
            result = painted(studio, given, style, settings, waiting, Path(folder))
            name = style if isinstance(style, str) else style.stem
            insert_above(image, layer, result, f"{layer.get_name()} × {name}")
    except Cancelled:
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    except (StudioError, OSError) as error:
        return failed(procedure, str(error))
    finally:
        waiting.close()
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def failed(procedure, why):
    """The return value of a call that went wrong; GIMP shows its text."""
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error(why))


def choice(*words):
    """A list to choose from."""
    made = Gimp.Choice.new()
    for number, word in enumerate(words):
        made.add(word, number, word.capitalize(), "")
    return made


class Impasto(Gimp.PlugIn):
    """The plug-in: one procedure."""

    def do_set_i18n(self, name):
        """It speaks English."""
        return False

    def do_query_procedures(self):
        """The procedures' names."""
        return [NAME]

    def do_create_procedure(self, name):
        """The procedure, its place in the menus, and its arguments, of which GIMP makes a dialog."""
        made = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, paint_layer, None)
        made.set_image_types("RGB*, GRAY*")
        made.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        made.set_menu_label("Paint in a _style…")
        made.add_menu_path("<Image>/Filters/Artistic")
        made.set_documentation(
            "Paint a layer in the manner of a painting",
            "Sends the layer and a style to an Impasto studio, by itself the one on this machine, and brings the "
            "picture back as a new layer above it.",
            name,
        )
        made.set_attribution("The Impasto authors", "The Impasto authors, MIT", "2026")
        flags = GObject.ParamFlags.READWRITE
        made.add_choice_argument("style", "_Style", "A style that comes with Impasto", choice(*STYLES), "mosaic", flags)
        made.add_file_argument(
            "style-file", "Or a _painting", "A painting of yours, in place of that style", Gimp.FileChooserAction.OPEN,
            True, None, flags,
        )  # fmt: skip
        made.add_double_argument(
            "strength", "S_trength", "0 is the layer, 1 as strong as style gets", 0.0, 1.0, 0.5, flags
        )
        made.add_choice_argument(
            "colour", "_Colours", "Whose colours: the style's, kept, matched or tinted", choice(*COLOURS), "style",
            flags,
        )  # fmt: skip
        made.add_int_argument(
            "size", "Longest side in _pixels", "The layer is painted at this size, or its own, and enlarged again", 16,
            65536, 512, flags,
        )  # fmt: skip
        made.add_string_argument("address", "_Address", "Where the studio is", ADDRESS, flags)
        made.add_string_argument(
            "token", "To_ken", "What a studio asks for that is open to other machines",
            os.environ.get("IMPASTO_TOKEN", ""), flags,
        )  # fmt: skip
        return made


Gimp.main(Impasto.__gtype__, sys.argv)
