"""Heart rates with the host's part in either precision, around the same integer program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..benchmarks.pulse.scores import Scores, score
from ..benchmarks.report.pulse import HostRow, PulseScores
from ..errors import BuildError
from ..hardware import host
from ..hardware.emulator import Emulator
from ..models.pulse_network import FPS
from .data import Video
from .host_part import PRECISIONS, HostPart
from .system import System


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
        except BuildError as error:
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
