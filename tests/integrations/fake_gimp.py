"""The few calls of GIMP 3 that the plug-in makes, on PIL images, as GIMP 3.0.4 answers them.

The plug-in was tried in that GIMP itself (docs/decisions/0031-doors.md); here its calls are checked against the names
and the arguments that GIMP has, so that none is made that it lacks.
"""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import PIL.Image


class RunMode(Enum):
    INTERACTIVE = 0
    NONINTERACTIVE = 1


class Status(Enum):
    EXECUTION_ERROR = 0
    CANCEL = 2
    SUCCESS = 3


class Error(Exception):
    """GLib.Error."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class File:
    """Gio.File of a path."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get_path(self) -> str:
        return self._path


class Layer:
    def __init__(self, pixels: PIL.Image.Image, name: str = "layer", offsets: tuple[int, int] = (0, 0)) -> None:
        self.pixels, self.name, self.offsets = pixels, name, offsets
        self.visible, self.mask, self.parent = True, None, None

    def get_width(self) -> int:
        return self.pixels.width

    def get_height(self) -> int:
        return self.pixels.height

    def get_name(self) -> str:
        return self.name

    def set_name(self, name: str) -> None:
        self.name = name

    def get_offsets(self) -> tuple[bool, int, int]:
        return True, *self.offsets

    def set_offsets(self, x: int, y: int) -> None:
        self.offsets = x, y

    def set_visible(self, visible: bool) -> None:
        self.visible = visible

    def get_parent(self) -> Any:
        return self.parent

    def scale(self, width: int, height: int, local_origin: bool) -> None:
        self.pixels = self.pixels.resize((width, height))

    def create_mask(self, kind: str) -> str:
        return kind

    def add_mask(self, mask: str) -> None:
        self.mask = mask

    @staticmethod
    def new_from_drawable(layer: Layer, image: Image) -> Layer:
        return Layer(layer.pixels.copy(), layer.name, layer.offsets)


class Image:
    """An image with its layers, the uppermost first."""

    alive = 0

    def __init__(self, *layers: Layer) -> None:
        self.layers = list(layers)
        self.selected = False
        self.undo_groups: list[str] = []
        Image.alive += 1

    @staticmethod
    def new_with_precision(width: int, height: int, base_type: str, precision: str) -> Image:
        assert (base_type, precision) == ("RGB", "u8")
        return Image()

    def get_base_type(self) -> str:
        return "RGB"

    def get_precision(self) -> str:
        return "u8"

    def get_color_profile(self) -> str:
        return "a profile"

    def set_color_profile(self, profile: str) -> None:
        assert profile == "a profile"

    def insert_layer(self, layer: Layer, parent: Any, position: int) -> None:
        self.layers.insert(position, layer)

    def get_item_position(self, layer: Layer) -> int:
        return self.layers.index(layer)

    def undo_group_start(self) -> None:
        self.undo_groups.append("start")

    def undo_group_end(self) -> None:
        self.undo_groups.append("end")

    def delete(self) -> None:
        Image.alive -= 1


class Procedure:
    """Gimp.ImageProcedure: its arguments as they were declared."""

    def __init__(self, name: str, run: Any) -> None:
        self.name, self.run_function = name, run
        self.arguments: dict[str, Any] = {}
        self.told: dict[str, Any] = {}

    @classmethod
    def new(cls, plug_in: Any, name: str, kind: Any, run: Any, data: Any) -> Procedure:
        return cls(name, run)

    def set_image_types(self, types: str) -> None:
        self.told["types"] = types

    def set_sensitivity_mask(self, mask: Any) -> None:
        self.told["sensitivity"] = mask

    def set_menu_label(self, label: str) -> None:
        self.told["label"] = label

    def add_menu_path(self, path: str) -> None:
        self.told["path"] = path

    def set_documentation(self, blurb: str, help: str, name: str) -> None:
        self.told["help"] = help

    def set_attribution(self, authors: str, copyright: str, date: str) -> None:
        self.told["authors"] = authors

    def add_choice_argument(self, name: str, nick: str, blurb: str, choice: Choice, value: str, flags: Any) -> None:
        assert value in choice.words
        self.arguments[name] = value

    def add_file_argument(
        self, name: str, nick: str, blurb: str, action: Any, none_ok: bool, value: Any, flags: Any
    ) -> None:
        assert none_ok
        self.arguments[name] = value

    def add_double_argument(
        self, name: str, nick: str, blurb: str, low: float, high: float, value: float, flags: Any
    ) -> None:
        assert low <= value <= high
        self.arguments[name] = value

    def add_int_argument(self, name: str, nick: str, blurb: str, low: int, high: int, value: int, flags: Any) -> None:
        assert low <= value <= high
        self.arguments[name] = value

    def add_string_argument(self, name: str, nick: str, blurb: str, value: str, flags: Any) -> None:
        self.arguments[name] = value or None  # so GIMP gives it back

    def new_return_values(self, status: Status, error: Error) -> tuple[Status, str]:
        return status, error.message


class Choice:
    def __init__(self) -> None:
        self.words: list[str] = []

    @staticmethod
    def new() -> Choice:
        return Choice()

    def add(self, word: str, number: int, label: str, help: str) -> None:
        assert number == len(self.words)
        self.words.append(word)


class Window:
    """Gtk.Dialog with one button, which `press` presses."""

    opened: ClassVar[list[Window]] = []

    def __init__(self, title: str) -> None:
        self.title, self.shown = title, False
        self.respond: Any = None
        Window.opened.append(self)

    def set_default_size(self, width: int, height: int) -> None:
        assert width > 200

    def add_button(self, label: str, response: Any) -> None:
        self.label = label

    def connect(self, signal: str, handler: Any) -> None:
        assert signal == "response"
        self.respond = handler

    def get_content_area(self) -> Any:
        return SimpleNamespace(add=lambda child: None)

    def show_all(self) -> None:
        self.shown = True

    def destroy(self) -> None:
        self.shown = False


class Bar:
    def __init__(self, show_text: bool) -> None:
        self.shares: list[float] = []

    def set_fraction(self, share: float) -> None:
        assert 0 <= share <= 1
        self.shares.append(share)

    def set_text(self, text: str) -> None:
        assert text


class Gimp3:
    """A GIMP with one image: runs the plug-in's procedure, and knows what it told the user."""

    def __init__(self, *, accepted: bool = True) -> None:
        self.accepted = accepted
        """Whether the dialog is answered with OK."""
        self.shares: list[float] = []
        self.texts: list[str] = []
        self.plug_in: Any = None
        self.on_events: Any = None
        """Called whenever GTK looks for something to do."""
        Window.opened, Image.alive = [], 0
        self.modules = self._modules()

    def install(self, monkeypatch: Any) -> None:
        for name, module in self.modules.items():
            monkeypatch.setitem(sys.modules, name, module)

    def procedure(self) -> Procedure:
        plug_in = self.plug_in()
        (name,) = plug_in.do_query_procedures()
        assert plug_in.do_set_i18n(name) is False
        return plug_in.do_create_procedure(name)

    def run(self, image: Image, layers: list[Layer], *, interactive: bool = False, **arguments: Any) -> Any:
        """Status and message of a run; arguments by their names with _ for -."""
        procedure = self.procedure()
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        assert given.keys() <= procedure.arguments.keys()
        config = SimpleNamespace(get_property=lambda name: (procedure.arguments | given)[name])
        mode = RunMode.INTERACTIVE if interactive else RunMode.NONINTERACTIVE
        return procedure.run_function(procedure, mode, image, layers, config, None)

    def _pending(self) -> bool:
        if self.on_events is not None:
            self.on_events()
        return False

    def _modules(self) -> dict[str, ModuleType]:
        def module(name: str, **names: Any) -> ModuleType:
            made = ModuleType(name)
            vars(made).update(names)
            return made

        def take(plug_in: Any, argv: list[str]) -> None:
            self.plug_in = plug_in

        class PlugIn:
            def __init_subclass__(cls) -> None:
                cls.__gtype__ = cls  # pyright: ignore[reportAttributeAccessIssue]

        def save(mode: RunMode, image: Image, file: File, options: None) -> bool:
            image.layers[0].pixels.save(file.get_path())
            return True

        def load_layer(mode: RunMode, image: Image, file: File) -> Layer:
            with PIL.Image.open(file.get_path()) as opened:
                return Layer(opened.copy(), Path(file.get_path()).name)

        gimp = module(
            "gi.repository.Gimp", PlugIn=PlugIn, main=take, RunMode=RunMode, PDBStatusType=Status, Image=Image,
            Layer=Layer, Choice=Choice, ImageProcedure=Procedure, PDBProcType=SimpleNamespace(PLUGIN="plug-in"),
            ProcedureSensitivityMask=SimpleNamespace(DRAWABLE="one layer"), file_save=save, file_load_layer=load_layer,
            FileChooserAction=SimpleNamespace(OPEN="open"), AddMaskType=SimpleNamespace(SELECTION="selection"),
            Selection=SimpleNamespace(is_empty=lambda image: not image.selected), progress_init=self.texts.append,
            progress_update=self.shares.append, progress_set_text=self.texts.append,
            progress_end=lambda: self.texts.append("end"), displays_flush=lambda: self.texts.append("flush"),
        )  # fmt: skip
        dialog = SimpleNamespace(fill=lambda names: None, run=lambda: self.accepted, destroy=lambda: None)
        gimp_ui = module(
            "gi.repository.GimpUi", init=lambda name: None,
            ProcedureDialog=SimpleNamespace(new=lambda procedure, config, title: dialog),
        )  # fmt: skip
        gtk = module(
            "gi.repository.Gtk", Dialog=Window, ProgressBar=Bar, ResponseType=SimpleNamespace(CANCEL="cancel"),
            events_pending=self._pending, main_iteration=lambda: None,
        )  # fmt: skip
        others = {
            "Gio": module("gi.repository.Gio", File=SimpleNamespace(new_for_path=File)),
            "GLib": module("gi.repository.GLib", Error=Error),
            "GObject": module("gi.repository.GObject", ParamFlags=SimpleNamespace(READWRITE="rw")),
        }
        repository = module("gi.repository", Gimp=gimp, GimpUi=gimp_ui, Gtk=gtk, **others)
        versions = {"Gimp": "3.0", "GimpUi": "3.0", "Gtk": "3.0"}

        def require_version(name: str, version: str) -> None:
            assert versions[name] == version

        return {"gi": module("gi", require_version=require_version, repository=repository), "gi.repository": repository}
