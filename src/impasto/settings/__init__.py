"""Every knob of a run, declared once with its roles; presets, grids and scheduled changes of knobs."""
