"""From a layer to a PNG file and back."""

from krita import InfoObject, Krita

from .qt import QtGui
from .studio import StudioError

SRGB = "sRGB-elle-V2-srgbtrc.icc"
"""The name that Krita gives to sRGB."""

PNG = {"alpha": True, "compression": 1, "forceSRGB": False, "indexed": False, "interlaced": False}
PAINTABLE = ("paintlayer", "grouplayer", "vectorlayer", "filllayer", "filelayer", "clonelayer")


def area_of(document, layer):
    """Where a layer has something, within the picture, as a QRect; raises `StudioError`."""
    if layer.type() not in PAINTABLE:
        raise StudioError(f"{layer.name()!r} is a {layer.type()} without a picture of its own: choose another layer.")
    area = layer.bounds().intersected(document.bounds())
    if area.isEmpty():
        raise StudioError(f"{layer.name()!r} has nothing within the picture: choose another layer.")
    return area


def write_layer(document, layer, area, file):
    """Save what a layer shows in an area as PNG: sRGB, 8 bits a channel, or 16 where the layer has more.

    Raises `OSError`.
    """
    x, y, width, height = area.x(), area.y(), area.width(), area.height()
    colours = layer.colorModel(), layer.colorDepth(), layer.colorProfile()
    alone = Krita.instance().createDocument(width, height, layer.name(), *colours, document.resolution())
    try:
        alone.setBatchmode(True)
        (only,) = alone.topLevelNodes()
        only.setPixelData(layer.projectionPixelData(x, y, width, height), 0, 0, width, height)
        alone.setColorSpace("RGBA", "U8" if layer.colorDepth() == "U8" else "U16", SRGB)
        alone.refreshProjection()
        alone.waitForDone()
        if not alone.exportImage(str(file), info(PNG)):
            raise OSError(f"Krita can't write {layer.name()!r} as PNG.")
    finally:
        alone.close()


def insert_above(document, layer, area, file, name):
    """The picture in a file as a new layer over `layer`, which fills the area, and shows where something is selected.

    Raises `OSError`.
    """
    x, y, width, height = area.x(), area.y(), area.width(), area.height()
    picture = Krita.instance().openDocument(str(file))
    if picture is None:
        raise OSError("Krita can't read the picture that the studio painted.")
    try:
        picture.setBatchmode(True)
        picture.setColorSpace("RGBA", "U8", SRGB)
        if (picture.width(), picture.height()) != (width, height):
            picture.scaleImage(width, height, document.resolution(), document.resolution(), "Bicubic")
        picture.waitForDone()
        if document.selection() is not None:
            (only,) = picture.topLevelNodes()
            shown = document.selection().pixelData(x, y, width, height)
            only.setPixelData(within(only.pixelData(0, 0, width, height), shown, width, height), 0, 0, width, height)
            picture.refreshProjection()
        picture.setColorSpace(document.colorModel(), document.colorDepth(), document.colorProfile())
        picture.waitForDone()
        pixels = picture.pixelData(0, 0, width, height)
    finally:
        picture.close()
    new = document.createNode(name, "paintlayer")
    new.setPixelData(pixels, x, y, width, height)
    layer.parentNode().addChildNode(new, layer)
    document.refreshProjection()
    return new


def within(pixels, shown, width, height):
    """Pixels (BGRA, 8 bits) as opaque as they are times what shows of them, a byte each.

    Krita 5.1 lets no plug-in make a transparency mask.
    """
    image = QtGui.QImage(bytes(pixels), width, height, 4 * width, QtGui.QImage.Format.Format_ARGB32).copy()
    mask = QtGui.QImage(bytes(shown), width, height, width, QtGui.QImage.Format.Format_Alpha8)
    painter = QtGui.QPainter(image)
    painter.setCompositionMode(QtGui.QPainter.CompositionMode.CompositionMode_DestinationIn)
    painter.drawImage(0, 0, mask)
    painter.end()
    return image.constBits().asstring(4 * width * height)


def info(values):
    """Options as Krita takes them."""
    made = InfoObject()
    for name, value in values.items():
        made.setProperty(name, value)
    return made
