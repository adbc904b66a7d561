"""Chip descriptions, the timed integer program, its arithmetic, and the backends that run it."""
