"""Many pictures: which ones, what became of each on disk, and painting them by an executor."""
