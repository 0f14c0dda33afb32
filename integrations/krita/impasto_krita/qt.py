"""The Qt that Krita itself runs on: another one in the same process would end it."""

from krita import Krita

if int(Krita.instance().version().split(".")[0]) >= 6:
    from PyQt6 import QtCore, QtGui, QtWidgets
else:
    from PyQt5 import QtCore, QtGui, QtWidgets

__all__ = ["QtCore", "QtGui", "QtWidgets"]
