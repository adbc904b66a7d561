"""Spiking-Diffusion from weights to report: three programs on the chip, the host between them."""
