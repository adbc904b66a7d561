"""What the host computes, as ONNX files in 32-bit floats and in 8-bit integers, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..benchmarks.ann import export_onnx
from ..benchmarks.errors import AnnError
from ..benchmarks.onnx_run import OnnxNetwork, quantise_onnx, runtime
from ..errors import BuildError
from ..models.physformer import SpikingPhysFormer

Precision: TypeAlias = Literal["float32", "int8"]
PARTS = ("embedding", "predictor")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
CALIBRATION_CLIPS = 32


def file_of(part: str, precision: Precision) -> str:
    """Name of a part's file within the build folder."""
    return f"{part}.onnx" if precision == "float32" else f"{part}.int8.onnx"


def export_host(network: SpikingPhysFormer, folder: Path) -> None:
    """Write embedding and predictor as ONNX in 32-bit floats, a clip at a time."""
    config = network.config
    export_onnx(
        network.embedding, (3, config.frames, *config.image), folder / file_of("embedding", "float32")
    )
    export_onnx(network.predictor, config.shape, folder / file_of("predictor", "float32"))


def quantise_host(network: SpikingPhysFormer, clips: NDArray[np.float32], folder: Path) -> None:
    """Write both in 8-bit integers beside them, as :func:`~spikewright.benchmarks.onnx_run.quantise_onnx` does.

    Parameters
    ----------
    clips : ndarray
        Clips (N, 3, frames, H, W) for calibration; the first 32 are used.

    Raises
    ------
    AnnError
        ONNX Runtime is not installed.
    """
    some = torch.from_numpy(clips[:CALIBRATION_CLIPS])
    with torch.no_grad():
        shown = {"embedding": some, "predictor": network.see(network.embedding(some))[0]}
    for part in PARTS:
        quantise_onnx(folder / file_of(part, "float32"), folder / file_of(part, "int8"), shown[part].numpy())


@dataclass(frozen=True, eq=False)
class HostPart:
    """Embedding and predictor as the host runs them.

    Attributes
    ----------
    network : SpikingPhysFormer
        For what is neither: the mean over time steps, and the embedding added to it.
    files : dict of str to OnnxNetwork
    """

    network: SpikingPhysFormer
    files: dict[str, OnnxNetwork]

    @classmethod
    def open(cls, network: SpikingPhysFormer, folder: Path, precision: Precision) -> HostPart:
        """The files of a build folder.

        Raises
        ------
        AnnError
            ONNX Runtime is not installed.
        BuildError
            A file is missing or cannot be run.
        """
        runtime()
        try:
            return cls(network, {part: OnnxNetwork(folder / file_of(part, precision)) for part in PARTS})
        except AnnError as error:
            raise BuildError(f"{error}; run `spikewright export` again") from None

    def embed(self, clips: Tensor) -> Tensor:
        """Embeddings (N, width, ...) of clips (N, 3, frames, H, W)."""
        return torch.from_numpy(self.files["embedding"](clips.numpy()))

    def tell(self, totals: Tensor, embedding: Tensor) -> Tensor:
        """Waves (N, frames), as :meth:`~spikewright.models.physformer.SpikingPhysFormer.tell`."""
        return torch.from_numpy(self.files["predictor"](self.network.mean(totals, embedding).numpy()))
