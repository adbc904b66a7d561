"""Builds a network in lava-dl's SLAYER and exports it with its own code: ``python slayer_child.py FILE``."""

# Lava carries no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import sys
from unittest.mock import MagicMock

import h5py
import torch

from spikewright.hardware.lava import compat

sys.modules.update({name: MagicMock() for name in ("cv2", "torchvision", "torchvision.ops")})
compat.prepare()

from lava.lib.dl import slayer  # noqa: E402

SHAPE = (2, 6, 7)


def main(path: str) -> None:
    """Every block that netx can load; weights are SLAYER's own, quantised by its own hook."""
    torch.manual_seed(0)
    neuron = {"threshold": 0.6, "current_decay": 0.25, "voltage_decay": 0.1, "requires_grad": False}
    block = slayer.block.cuba
    blocks = [
        block.Conv(neuron, 2, 4, (3, 2), padding=(1, 0), stride=(2, 1), weight_scale=3, weight_norm=True),
        block.Flatten(),
        block.Dense(neuron, 4 * 3 * 6, 9, weight_scale=3, delay=True),
        block.Recurrent(neuron, 9, 9, weight_scale=3),
        block.Affine(neuron, 9, 3),
    ]
    spikes = (torch.rand(1, *SHAPE, 12) < 0.5).float()
    for layer in blocks:  # shapes are set by the first run
        spikes = layer(spikes)
    delay = blocks[2].delay.delay
    delay.data[:] = torch.arange(9).reshape(delay.shape) % 4
    with h5py.File(path, "w") as file:
        file["layer/0/type"], file["layer/0/shape"] = [b"input"], SHAPE
        for index, layer in enumerate(blocks, 1):
            layer.export_hdf5(file.create_group(f"layer/{index}"))


if __name__ == "__main__":
    main(sys.argv[1])
