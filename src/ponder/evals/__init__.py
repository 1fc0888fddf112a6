"""Data sets, grading and statistics; the only place that sees references."""
