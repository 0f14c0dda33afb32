"""Runs within Krita (`kritarunner -s krita_driver -f main REQUEST`): makes a document, lets the plug-in paint, and
writes down what became of both. Krita's own Python reads it, of which nothing newer than 3.8 is asked.
"""

import json
import traceback
from pathlib import Path

from krita import Krita
from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QAction, QApplication, QDialog, QLabel, QMessageBox, QProgressDialog

WIDTH, HEIGHT = 80, 60
X, Y, LAYER_WIDTH, LAYER_HEIGHT = 5, 7, 60, 40


def main(args):
    """Answer a request's file beside it."""
    request = json.loads(Path(args[0]).read_text())
    try:
        answer = answered(request)
    except Exception:
        answer = {"traceback": traceback.format_exc()}
    Path(args[0]).with_suffix(".answer").write_text(json.dumps(answer))


def answered(request):
    """What a request comes to: what the user was told, the layers, and the new one's pixels."""
    from impasto_krita import extension, studio

    studio.POLL = 0.02

    document = Krita.instance().createDocument(WIDTH, HEIGHT, "photo", "RGBA", "U8", "", 300.0)
    document.setBatchmode(True)
    layer = document.createNode("photo/1", request.get("kind", "paintlayer"))
    document.rootNode().addChildNode(layer, None)
    if request.get("kind", "paintlayer") == "paintlayer" and not request.get("empty"):
        layer.setPixelData(pattern(request.get("faint", False)), X, Y, LAYER_WIDTH, LAYER_HEIGHT)
    colours = request.get("model", "RGBA"), request.get("depth", "U8")
    if colours != ("RGBA", "U8"):
        document.setColorSpace(*colours, Krita.instance().profiles(*colours)[0])
        document.waitForDone()
    if request.get("selected"):
        from krita import Selection

        selection = Selection()
        selection.select(*request["selected"], 255)
        document.setSelection(selection)
    document.refreshProjection()
    before = bytes(layer.pixelData(X, Y, LAYER_WIDTH, LAYER_HEIGHT))
    if request.get("written"):
        from impasto_krita.layers import area_of, write_layer

        write_layer(document, layer, area_of(document, layer), Path(request["written"]))
        return {"sent": list(pattern(request.get("faint", False)))}
    seen = press(request)
    extension.Krita = Front(None if request.get("no_document") else document, layer)
    window = Window()
    extension.Impasto(Krita.instance()).createActions(window)
    window.action.trigger()
    document.waitForDone()
    layers = document.topLevelNodes()
    new = layers[layers.index(layer) + 1] if len(layers) > layers.index(layer) + 1 else None
    found = {"layers": [each.name() for each in layers], "seen": seen}
    found["unchanged"] = before == bytes(layer.pixelData(X, Y, LAYER_WIDTH, LAYER_HEIGHT))
    if new is not None:
        bounds = new.bounds()
        found["bounds"] = [bounds.x(), bounds.y(), bounds.width(), bounds.height()]
        found["colours"] = [new.colorModel(), new.colorDepth()]
        found["pixels"] = list(bytes(new.pixelData(X, Y, LAYER_WIDTH, LAYER_HEIGHT)))
    document.close()
    return found


def pattern(faint):
    """The layer's pixels, BGRA; `faint` ones are half transparent."""
    alpha = 128 if faint else 255
    return bytes(alpha if n % 4 == 3 else (n * 7 + n // 4 * 3) % 256 for n in range(4 * LAYER_WIDTH * LAYER_HEIGHT))


class Front:
    """Krita with a document in front and a layer chosen: kritarunner has no window, which both go by."""

    def __init__(self, document, layer):
        self._document, self._layer = document, layer

    def instance(self):
        """Krita."""
        return self

    def activeDocument(self):  # noqa: N802
        """The document in front."""
        return self if self._document is not None else None

    def activeNode(self):  # noqa: N802
        """The chosen layer."""
        return self._layer

    def activeWindow(self):  # noqa: N802
        """The window in front, which has none."""
        return self

    def qwindow(self):
        """No window."""

    def __getattr__(self, name):
        """All else is the document's own."""
        return getattr(self._document, name)


class Window:
    """Of a window as Krita gives it to plug-ins: it is gone after `createActions`."""

    def createAction(self, name, text, menu):  # noqa: N802
        """An action for a menu."""
        assert (name, text, menu) == ("impasto_paint_layer", "Paint in a style…", "tools/scripts")
        self.action = QAction(text, QApplication.instance())
        return self.action

    def qwindow(self):
        """What PyQt says then."""
        raise RuntimeError("wrapped C/C++ object of type Window has been deleted")


def press(request):
    """Press what the request says in each window that opens, and note what they say."""
    seen = {"titles": [], "told": [], "steps": [], "share": 0.0}

    def look():
        for window in QApplication.topLevelWidgets():
            if not window.isVisible():
                continue
            if isinstance(window, QMessageBox):
                seen["told"].append(window.text())
                window.accept()
            elif isinstance(window, QProgressDialog):
                seen["steps"].append(window.labelText())
                seen["share"] = max(seen["share"], window.value() / window.maximum())
                if request.get("cancel") and window.labelText() != "Painting by Impasto":
                    window.cancel()
            elif isinstance(window, QDialog) and window.windowTitle() == "Script error":  # what Krita makes of a bug
                seen["told"] += [label.text() for label in window.findChildren(QLabel) if label.text()]
                window.reject()
            elif isinstance(window, QDialog):
                seen["titles"].append(window.windowTitle())
                fill(window, request.get("answers", {}))
                (window.reject if request.get("reject") else window.accept)()

    timer = QTimer(QApplication.instance())
    timer.timeout.connect(look)
    timer.start(15)
    return seen


def fill(dialog, answers):
    """Type answers into the fields by their labels."""
    form = dialog.layout()
    for row in range(form.rowCount()):
        label = form.itemAt(row, form.LabelRole)
        if label is None or label.widget().text() not in answers:
            continue
        value, item = answers[label.widget().text()], form.itemAt(row, form.FieldRole)
        field = item.widget() or item.layout().itemAt(0).widget()
        if hasattr(field, "setCurrentText"):
            field.setCurrentText(value)
        elif hasattr(field, "setText"):
            field.setText(value)
        else:
            field.setValue(value)
