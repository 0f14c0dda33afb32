"""What the studio answers, by what it is about; all of /api/v1 is described in `models`."""
