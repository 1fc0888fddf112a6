"""Data sets: from a file, the package, the hub or a generator, to examples."""

from ponder.evals.datasets.columns import plain
from ponder.evals.datasets.loading import DataSet, builtin_names, load, load_set
from ponder.evals.datasets.named import named_sets

__all__ = ["DataSet", "builtin_names", "load", "load_set", "named_sets", "plain"]
