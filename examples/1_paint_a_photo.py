"""Paint a photo in the manner of a swatch and save the picture."""

import sys

import impasto

photo, style, output = sys.argv[1:4]
impasto.stylize(photo, style, size=128, epochs=2, steps_per_epoch=5).save(output)
