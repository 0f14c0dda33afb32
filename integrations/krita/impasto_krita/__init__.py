"""A plug-in for Krita: paints a layer in the manner of a painting, by an Impasto studio, as a new layer above it."""

from krita import Krita

from .extension import Impasto

Krita.instance().addExtension(Impasto(Krita.instance()))
