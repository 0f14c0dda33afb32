"""Image files, bytes, PIL images and arrays to tensors (1, 3, h, w) in sRGB and back; colour spaces."""
