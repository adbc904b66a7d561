"""Shipped recipes and weights."""
