"""From files to files: stylization, texture and sweep, with recipes and checkpoints."""
