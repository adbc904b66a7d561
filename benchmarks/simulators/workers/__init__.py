"""Scripts that run in another simulator's own interpreter; nothing here imports spikewright."""
