"""``python -m spikewright.cli``."""

from .main import main

main()
