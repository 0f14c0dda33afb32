"""Films: reading and writing them, what moves from frame to frame, and painting one frame like those before it."""
