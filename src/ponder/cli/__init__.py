"""The command line; thin."""

from ponder.cli.app import main

__all__ = ["main"]
