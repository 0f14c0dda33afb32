"""Films in the studio: read when they are sent, planned, painted frame by frame, and looked at one frame at a time."""
