"""What the plug-in shows: the questions, how far it is, and what went wrong."""

import os
import time

from krita import Krita

from .qt import QtCore, QtWidgets
from .studio import ADDRESS, COLOURS, STYLES, Cancelled

GROUP, TITLE = "impasto", "Paint in a style"
TICKS = 1000
"""Of the progress bar."""


class Wanted:
    """The dialog that asks for a style and the rest; what was answered last stands in it, but for the token."""

    def __init__(self, parent):
        self._dialog = QtWidgets.QDialog(parent)
        self._dialog.setWindowTitle(TITLE)
        self._style, self._colour = choice(STYLES, last("style", "mosaic")), choice(COLOURS, last("colour", "style"))
        self._painting = QtWidgets.QLineEdit()
        self._strength = QtWidgets.QDoubleSpinBox()
        self._strength.setRange(0, 1)
        self._strength.setSingleStep(0.05)
        self._strength.setValue(float(last("strength", "0.5")))
        self._strength.setToolTip("0 is the layer, 1 as strong as style gets.")
        self._size = QtWidgets.QSpinBox()
        self._size.setRange(16, 65536)
        self._size.setValue(int(last("size", "512")))
        self._size.setToolTip("The layer is painted at this size, or its own, and enlarged again.")
        self._address = QtWidgets.QLineEdit(last("address", ADDRESS))
        self._token = QtWidgets.QLineEdit(os.environ.get("IMPASTO_TOKEN", ""))
        self._token.setEchoMode(QtWidgets.QLineEdit.EchoMode.Password)
        self._token.setToolTip("What a studio asks for that is open to other machines.")
        self._lay_out()

    def _lay_out(self):
        browse = QtWidgets.QPushButton("…")
        browse.clicked.connect(self._browse)
        painting = QtWidgets.QHBoxLayout()
        painting.addWidget(self._painting)
        painting.addWidget(browse)
        buttons = QtWidgets.QDialogButtonBox(
            QtWidgets.QDialogButtonBox.StandardButton.Ok | QtWidgets.QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._dialog.accept)
        buttons.rejected.connect(self._dialog.reject)
        form = QtWidgets.QFormLayout(self._dialog)
        form.addRow("Style", self._style)
        form.addRow("Or a painting", painting)
        form.addRow("Strength", self._strength)
        form.addRow("Colours", self._colour)
        form.addRow("Longest side in pixels", self._size)
        form.addRow("Address of the studio", self._address)
        form.addRow("Token", self._token)
        form.addRow(buttons)

    def _browse(self):
        name, _ = QtWidgets.QFileDialog.getOpenFileName(self._dialog, "A painting")
        if name:
            self._painting.setText(name)

    def accepted(self):
        """Whether it is to be painted."""
        wanted = getattr(self._dialog, "exec", None) or self._dialog.exec_
        if not wanted():
            return False
        for name in ("style", "colour", "strength", "size", "address"):
            Krita.instance().writeSetting(GROUP, name, str(self.answers()[name]))
        return True

    def answers(self):
        """What the fields say."""
        return {
            "style": self._style.currentText(),
            "painting": self._painting.text().strip(),
            "strength": round(self._strength.value(), 2),
            "colour": self._colour.currentText(),
            "size": self._size.value(),
            "address": self._address.text(),
            "token": self._token.text(),
        }


class Waiting:
    """A small window with a progress bar, whose button cancels the job."""

    def __init__(self, parent):
        self._window = QtWidgets.QProgressDialog("Painting by Impasto", "Cancel", 0, TICKS, parent)
        self._window.setWindowTitle(TITLE)
        self._window.setWindowModality(QtCore.Qt.WindowModality.WindowModal)
        self._window.setMinimumDuration(0)
        self._window.setAutoClose(False)
        self._window.setAutoReset(False)
        self._window.setMinimumWidth(420)
        self._window.show()

    def show(self, share, text):
        """Tell how far it is."""
        self._window.setLabelText(text)
        self._window.setValue(int(TICKS * share))

    def pause(self, seconds):
        """Wait, while Qt does what it has to; raises `Cancelled`."""
        end = time.monotonic() + seconds
        while not self._window.wasCanceled() and time.monotonic() < end:
            QtWidgets.QApplication.processEvents()
            time.sleep(0.02)
        if self._window.wasCanceled():
            raise Cancelled

    def close(self):
        """Take it off the screen."""
        self._window.close()


def tell(parent, text):
    """What went wrong, in a window."""
    QtWidgets.QMessageBox.warning(parent, TITLE, text)


def choice(words, chosen):
    """A list to choose from."""
    made = QtWidgets.QComboBox()
    made.addItems(words)
    made.setCurrentText(chosen)
    return made


def last(name, default):
    """What was answered last."""
    return Krita.instance().readSetting(GROUP, name, default)
