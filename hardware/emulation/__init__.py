"""Kernels of the emulator, and what decides between them."""
