"""What a sample costs in joules, under models that are data with sources."""

from __future__ import annotations

from .activity import Activity
from .model import EnergyError, EnergyModel, load_model, load_models
from .price import Energy, price
from .sensitivity import Swing, layer_break_even, swings

__all__ = [
    "Activity", "Energy", "EnergyError", "EnergyModel", "Swing", "layer_break_even", "load_model", "load_models", "price",
    "swings",
]  # fmt: skip
