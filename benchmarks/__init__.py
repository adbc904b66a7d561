"""Counting, energy models, quality, equivalence, and the report."""
