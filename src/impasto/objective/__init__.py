"""What to optimise: loss terms with their targets, and an objective of a canvas with its gradient."""
