"""Placement: a program cut into the cores of a chip, under all limits that the chip states."""

from __future__ import annotations

from .layout import Core, Placement, Slice
from .limits import capacities
from .mesh import Hops, hops
from .place import place
from .validate import validate

__all__ = ["Core", "Hops", "Placement", "Slice", "capacities", "hops", "place", "validate"]
