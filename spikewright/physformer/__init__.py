"""Spiking-PhysFormer: the pulse of face videos, its spiking blocks on the chip and the rest on the host."""
