"""The ANN twins as files: one ONNX graph for a denoiser's evaluation, one for decoding, and their operations for an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..models.sdid_ann import ANNDenoiser
from ..models.vq_ann import VQVAE
from ..workspace import Workspace

FILES = {"denoiser": "ann_denoiser.onnx", "decoder": "ann_decoder.onnx"}


class _Denoise(nn.Module):
    """A denoiser as the ONNX exporter wants it: one tensor in, one out."""

    def __init__(self, network: ANNDenoiser) -> None:
        super().__init__()
        self.network = network

    def forward(self, grid: Tensor) -> Tensor:
        """Logits of a one-hot grid."""
        return self.network.evaluate(grid)


class _Decode(nn.Module):
    """A decoder likewise."""

    def __init__(self, network: VQVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, vectors: Tensor) -> Tensor:
        """Image of code vectors."""
        return self.network.decode_vectors(vectors)


@dataclass(frozen=True)
class Twins:
    """Counted ANN twins.

    Attributes
    ----------
    denoiser, decoder : MacCount
        Of one run each.
    """

    denoiser: MacCount
    decoder: MacCount


def export_twins(workspace: Workspace) -> Twins:
    """Write both ONNX files of a recipe's twins into its build folder, and count them."""
    denoiser, autoencoder = workspace.network("sdid_ann"), workspace.network("vq_ann")
    assert isinstance(denoiser, ANNDenoiser)
    assert isinstance(autoencoder, VQVAE)
    config = denoiser.config
    paths = {part: workspace.folder / name for part, name in FILES.items()}
    export_onnx(_Denoise(denoiser), (config.codes + 1, *config.grid), paths["denoiser"])
    export_onnx(_Decode(autoencoder), (autoencoder.config.dim, *config.grid), paths["decoder"])
    return load_twins(workspace.folder)


def load_twins(folder: Path) -> Twins:
    """Count the twins of a build folder."""
    return Twins(**{part: count_macs(folder / name) for part, name in FILES.items()})
