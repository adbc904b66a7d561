"""What a sample costs in joules, under models that are data with sources."""

from __future__ import annotations

from .activity import Activity
from .model import EnergyError, EnergyModel, load_model, load_models
from .price import Energy, price

__all__ = ["Activity", "Energy", "EnergyError", "EnergyModel", "load_model", "load_models", "price"]
