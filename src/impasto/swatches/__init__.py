"""Style images painted by impasto itself, for trying style transfer without hunting for a painting."""
