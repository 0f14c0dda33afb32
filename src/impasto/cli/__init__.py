"""The command line: a thin shell. The library raises; only here do we print and exit."""

from impasto.cli.app import main as main
