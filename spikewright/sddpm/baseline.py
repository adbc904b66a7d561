"""The ANN twin as a file: one ONNX graph of an evaluation, image and vector of its time in, noise out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..models.unet_ann import UNet
from ..workspace import Workspace

FILE = "ann_denoiser.onnx"


class _Tell(nn.Module):
    """A U-Net as the ONNX exporter wants it: one tensor in, one out."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor) -> Tensor:
        """Noise in an image whose pixels lie behind each other, with the vector of the time behind them."""
        config = self.network.config
        shape = (config.in_channels, *config.image)
        pixels = shape[0] * shape[1] * shape[2]
        return self.network.evaluate(sample[:, :pixels].reshape(-1, *shape), sample[:, pixels:])


def export_twin(workspace: Workspace) -> MacCount:
    """Write the ONNX file of a recipe's twin into its build folder, and count it.

    The vector of the time, which depends on the index of the diffusion alone, comes from a table, as the spiking
    network's currents do.
    """
    network = workspace.network("unet_ann")
    assert isinstance(network, UNet)
    config = network.config
    with torch.no_grad():
        width = network.embedding(torch.zeros(1, dtype=torch.int64)).shape[1]
    values = config.in_channels * config.image[0] * config.image[1] + width
    export_onnx(_Tell(network), (values,), workspace.folder / FILE)
    return load_twin(workspace.folder)


def load_twin(folder: Path) -> MacCount:
    """Count the twin of a build folder."""
    return count_macs(folder / FILE)
