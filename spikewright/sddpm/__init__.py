"""SDDPM: a spiking U-Net on the chip tells the noise in images, the host takes it off step by step."""
