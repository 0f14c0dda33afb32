"""The losses, one short function an equation; `catalogue` says how each is measured and compared."""
