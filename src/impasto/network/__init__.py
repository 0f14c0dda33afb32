"""VGG19: its table of layers, its weights, tiled forward and backward passes, and the engines that run it."""
