"""How fast ponder is, in ratios: `python -m benchmarks --help`."""
