"""Compute-optimal scaling: policies fitted from runs, and what they are worth."""
