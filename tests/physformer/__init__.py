"""Tests of Spiking-PhysFormer."""
