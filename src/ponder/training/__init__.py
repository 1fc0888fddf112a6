"""Verifiers trained from a model's own graded samples: labels, features, heads, honest figures."""
