"""The formulas of Gatys et al. on VGG19's features, for those who want to build something else from them."""

import sys

from impasto import VGG19
from impasto.images.reading import load
from impasto.losses.gatys import content_loss, gram, style_layer_loss
from impasto.network import weights

photo, painting = (load(path).pixels[..., :128, :128] for path in sys.argv[1:3])
network = VGG19(weights.load())
f, p = (network.features(image, ["relu4_1", "relu4_2"]) for image in (photo, painting))
m = f["relu4_1"][0, 0].numel()
print("content, eq. 1:", content_loss(f["relu4_2"], p["relu4_2"]).item())
print("style, eq. 4:", style_layer_loss(gram(f["relu4_1"]), gram(p["relu4_1"]), m).item())
