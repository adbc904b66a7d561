"""The ANN twin as a file: one ONNX graph of an evaluation, image and vector of its time in, what it tells of the noise out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..benchmarks.onnx_run import OnnxNetwork
from ..benchmarks.report.schema import TwinRun
from ..models.epsilon_prediction import held_out_error
from ..models.noise_schedule import NoiseSchedule
from ..models.unet_ann import UNet
from ..twin_runs import CALIBRATION_SAMPLES, TwinFile, twin_runs
from ..workspace import Workspace

FILE = "ann_denoiser.onnx"


class _Tell(nn.Module):
    """A U-Net as the ONNX exporter wants it: one tensor in, one out."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor) -> Tensor:
        """What is told of an image whose pixels lie behind each other, with the vector of the time behind them."""
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


def run_twin(workspace: Workspace, schedule: NoiseSchedule, count: int) -> list[TwinRun]:
    """Error of the noise in ``count`` test images, told by the build folder's twin through ONNX Runtime."""
    network, images = workspace.network("unet_ann"), workspace.test_images[:count]
    assert isinstance(network, UNet)

    def asked(noisy: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float32]:
        times = torch.from_numpy(np.full(len(noisy), time, np.int64))
        with torch.no_grad():
            vectors = network.embedding(times).numpy()
        return np.concatenate([noisy.reshape(len(noisy), -1), vectors], 1).astype(np.float32)

    seen: list[NDArray[np.float32]] = []

    def remember(noisy: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float64]:
        seen.append(asked(noisy, time))
        return noisy

    held_out_error(remember, workspace.train_images[:CALIBRATION_SAMPLES], schedule)

    def judge(files: Mapping[str, OnnxNetwork]) -> dict[str, float]:
        def predict(noisy: NDArray[np.float64], time: int | NDArray[np.int64]) -> NDArray[np.float64]:
            times = torch.from_numpy(np.full(len(noisy), time, np.int64))
            told = torch.from_numpy(files["denoiser"](asked(noisy, time)).astype(np.float64))
            return np.asarray(network.noise_in(torch.from_numpy(noisy), times, told).numpy())

        return {"error of the noise": held_out_error(predict, images, schedule)}

    file = TwinFile(workspace.folder / FILE, np.concatenate(seen))
    return twin_runs({"denoiser": file}, judge, len(images))
