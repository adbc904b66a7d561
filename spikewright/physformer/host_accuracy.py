"""Heart rates by ONNX Runtime in either precision: of the host's part around the integer program, and of the ANN twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..benchmarks.errors import AnnError
from ..benchmarks.onnx_run import OnnxNetwork
from ..benchmarks.pulse.scores import Scores, score
from ..benchmarks.report.pulse import HostRow, PulseScores
from ..benchmarks.report.schema import TwinRun
from ..errors import BuildError
from ..hardware import host
from ..hardware.emulator import Emulator
from ..models.pulse_network import FPS
from ..twin_runs import TwinFile, twin_runs
from ..workspace import Workspace
from .data import Video
from .host_part import CALIBRATION_CLIPS, PRECISIONS, HostPart
from .system import System, clips, videos

HOST_VIDEOS = 20  # videos that ONNX Runtime sees in either precision


def host_accuracy(system: System, folder: Path, videos: Sequence[Video]) -> list[HostRow]:
    """Scores of videos in each precision; without ONNX Runtime, the reason why there are none.

    Parameters
    ----------
    folder : Path
        Holds the host's part.
    """
    emulator, rows = Emulator(system.blocks.program), []
    for precision in PRECISIONS:
        try:
            part = HostPart.open(system.network, folder, precision)
        except (AnnError, BuildError) as error:
            rows.append(HostRow(precision=precision, by_video=None, reason=str(error)))
            continue
        waves = [waves_of(part, emulator, torch.from_numpy(video.clips)).double().numpy() for video in videos]
        reference = [video.labels.astype(float).ravel() for video in videos]
        found = score([wave.ravel() for wave in waves], reference, FPS, differences=True)
        rows.append(HostRow(precision=precision, by_video=scores_part(found), reason=""))
    return rows


def scores_part(found: Scores) -> PulseScores:
    """Scores as the report says them."""
    interval = None if found.mae_interval is None else list(found.mae_interval)
    return PulseScores(**{**vars(found), "mae_interval": interval})


def waves_of(part: HostPart, emulator: Emulator, clips: torch.Tensor) -> torch.Tensor:
    """Waves (N, frames) of clips through the host's part and the integer program between its halves."""
    embedding = part.embed(clips)
    inputs, _ = host.encode(emulator.program, embedding.numpy())
    totals = torch.from_numpy(host.decode(emulator.program, emulator.run(inputs, "counts")))
    return part.tell(totals.reshape(embedding.shape), embedding)


def run_twin(workspace: Workspace) -> list[TwinRun]:
    """Heart rates and waves of the build folder's twin."""
    some = videos(workspace, "test", HOST_VIDEOS)
    reference = [video.labels.astype(float).ravel() for video in some]

    def judge(files: Mapping[str, OnnxNetwork]) -> dict[str, float]:
        waves = [files["ann"](video.clips).astype(float).ravel() for video in some]
        found = score(waves, reference, FPS, differences=True)
        return {
            "heart rate error by video, bpm": found.mae,
            "correlation of waves": found.wave_correlation,
        }

    file = TwinFile(workspace.onnx, clips(workspace, "train", CALIBRATION_CLIPS))
    return twin_runs({"ann": file}, judge, len(some))
