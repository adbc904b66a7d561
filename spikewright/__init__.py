"""Spikewright."""
