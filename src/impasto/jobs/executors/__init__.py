"""Mapping a task over items, whatever they are: in processes of this machine, or on a Ray cluster."""
