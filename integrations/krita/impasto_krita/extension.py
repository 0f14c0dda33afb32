"""The entry in Krita's menu, and what it does: from a layer to a picture, and back as a layer."""

import tempfile
from pathlib import Path

from krita import Extension, Krita

from .layers import area_of, insert_above, write_layer
from .studio import Cancelled, Studio, StudioError, painted
from .windows import Waiting, Wanted, tell


class Impasto(Extension):
    """The plug-in: one action."""

    def setup(self):
        """Nothing has to be there before the windows."""

    def createActions(self, window):  # noqa: N802
        """Tools, Scripts, "Paint in a style…"; Krita deletes `window` after the call, if not the window itself."""
        action = window.createAction("impasto_paint_layer", "Paint in a style…", "tools/scripts")
        action.triggered.connect(lambda: paint_active_layer(Krita.instance().activeWindow().qwindow()))


def paint_active_layer(parent):
    """What the menu's entry does: ask, paint the active layer, and tell what went wrong in one sentence."""
    document = Krita.instance().activeDocument()
    layer = document.activeNode() if document is not None else None
    if layer is None:
        tell(parent, "No layer is active: open a picture and choose one.")
        return
    wanted = Wanted(parent)
    if not wanted.accepted():
        return
    waiting = Waiting(parent)
    try:
        paint_layer(document, layer, wanted.answers(), waiting)
    except Cancelled:
        pass
    except (StudioError, OSError) as error:
        waiting.close()  # before another window asks for attention
        tell(parent, str(error))
    finally:
        waiting.close()


def paint_layer(document, layer, answers, waiting):
    """The new layer over `layer`; raises `Cancelled`, `StudioError`, or `OSError`."""
    studio = Studio(answers["address"], answers["token"])
    area = area_of(document, layer)
    size = min(answers["size"], max(area.width(), area.height()))
    settings = {"strength": answers["strength"], "size": size, "color": answers["colour"]}
    style = Path(answers["painting"]) if answers["painting"] else answers["style"]
    with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
        given = Path(folder) / f"{layer.name().replace('/', '-')[:80]}.png"
        write_layer(document, layer, area, given)
        result = painted(studio, given, style, settings, waiting, Path(folder))
        named = style if isinstance(style, str) else style.stem
        return insert_above(document, layer, area, result, f"{layer.name()} × {named}")
