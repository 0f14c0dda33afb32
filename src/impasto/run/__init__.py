"""A run from coarse to fine: its plan, its optimiser, its state and its events."""
