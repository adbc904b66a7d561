"""The ANN twins as files: one ONNX graph for a denoiser's evaluation, one for decoding, and their operations for an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..benchmarks.onnx_run import OnnxNetwork
from ..benchmarks.quality import reconstruction_error
from ..benchmarks.report.schema import TwinRun
from ..diffusion_stages import extract_tokens
from ..models.absorbing import elbo, hide
from ..models.sdid import one_hot
from ..models.sdid_ann import ANNDenoiser
from ..models.vq_ann import VQVAE
from ..twin_runs import CALIBRATION_SAMPLES, MOST_SAMPLES, TwinFile, twin_runs
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


def run_twins(workspace: Workspace) -> list[TwinRun]:
    """Bound and reconstructions of a build folder's twins by ONNX Runtime; the codes are looked up in floats."""
    denoiser, autoencoder = workspace.network("sdid_ann"), workspace.network("vq_ann")
    assert isinstance(denoiser, ANNDenoiser)
    assert isinstance(autoencoder, VQVAE)
    codes, images = denoiser.config.codes, workspace.test_images[:MOST_SAMPLES]
    grids = extract_tokens(autoencoder, images)
    trained = torch.from_numpy(extract_tokens(autoencoder, workspace.train_images[:CALIBRATION_SAMPLES]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hidden, _ = hide(trained, codes)

    def vectors(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            return autoencoder.codebook.lookup(torch.from_numpy(tokens)).numpy()

    def judge(files: Mapping[str, OnnxNetwork]) -> dict[str, float]:
        def logits(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
            return files["denoiser"](one_hot(torch.from_numpy(tokens), codes).numpy())

        return {
            "bits a token": elbo(logits, grids, codes).bits,
            "error of reconstructions": float(
                reconstruction_error(files["decoder"](vectors(grids)), images).mean()
            ),
        }

    seen = {"denoiser": one_hot(hidden, codes).numpy(), "decoder": vectors(trained.numpy())}
    files = {part: TwinFile(workspace.folder / name, seen[part]) for part, name in FILES.items()}
    return twin_runs(files, judge, len(images))
