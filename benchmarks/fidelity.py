"""Inception score and FID through torch-fidelity, where it and its pretrained weights are installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
INSTALL = "pip install 'spikewright[fidelity]'"


@dataclass(frozen=True)
class FidelityResult:
    """Figures, or the reason why there are none."""

    available: bool
    reason: str
    fid: float | None = None
    inception_score: float | None = None


class _Images(torch.utils.data.Dataset[torch.Tensor]):
    """Images as torch-fidelity takes them: uint8 RGB."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        levels = np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)
        self.images = np.repeat(levels, 3, axis=1) if images.shape[1] == 1 else levels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.images[index])


def fidelity(generated: NDArray[np.float32], real: NDArray[np.float32]) -> FidelityResult:
    """Compute both figures, or say why not; nothing is downloaded.

    Parameters
    ----------
    generated, real : ndarray
        Images (N, C, H, W) in [-1, 1].
    """
    weights = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not weights.exists():
        place = str(weights).replace(str(Path.home()), "~")
        return FidelityResult(
            False, f"The Inception weights are not at {place}; {INSTALL} and place {WEIGHTS} there"
        )
    try:
        from torch_fidelity import calculate_metrics
    except (
        ImportError,
        RuntimeError,
    ) as error:  # torchvision beside another build of torch raises RuntimeError
        return FidelityResult(False, f"torch-fidelity cannot be imported ({error}); {INSTALL}")
    figures = calculate_metrics(
        input1=_Images(generated),
        input2=_Images(real),
        isc=True,
        fid=True,
        cuda=torch.cuda.is_available(),
        feature_extractor_weights_path=str(weights),
        verbose=False,
    )
    fid, score = figures["frechet_inception_distance"], figures["inception_score_mean"]
    return FidelityResult(True, "", float(fid), float(score))
