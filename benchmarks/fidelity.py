"""Inception score and FIDs through torch-fidelity, where it and its pretrained weights are installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import QualityError
from .paper_fid import paper_fid
from .quality import Features

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
INSTALL = "pip install 'spikewright[fidelity]'"
_BATCH = 50  # images that Inception, at 299 x 299, sees at a time


@dataclass(frozen=True)
class FidelityResult:
    """Figures, or the reason why there are none."""

    available: bool
    reason: str
    fid: float | None = None
    inception_score: float | None = None


@dataclass(frozen=True)
class PaperFidelityResult:
    """The FID of the Spiking-Diffusion paper, or the reason why there is none.

    Attributes
    ----------
    as_released : float or None
        Comparable with the paper's figures, and wrong: see :mod:`.paper_fid`.
    correct : float or None
        The true formula on the same features of the same images.
    """

    available: bool
    reason: str
    as_released: float | None = None
    correct: float | None = None


class FidelityUnavailable(Exception):
    """Why there is no Inception network."""


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
    try:
        weights = _weights()
        from torch_fidelity import calculate_metrics
    except FidelityUnavailable as error:
        return FidelityResult(False, str(error))
    except (ImportError, RuntimeError) as error:
        return FidelityResult(False, _not_importable(error))
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


def paper_fidelity(generated: NDArray[np.float32], real: NDArray[np.float32]) -> PaperFidelityResult:
    """The FID by the protocol of the Spiking-Diffusion paper, or why not; nothing is downloaded.

    Its release takes the ImageNet weights of torchvision and scales its input twice; the network here is
    torch-fidelity's, the one that FIDs are usually taken with. Images, counts and the false root are the release's.

    Parameters
    ----------
    generated, real : ndarray
        Images (N, C, H, W) in [-1, 1], 1,280 or more each; test images in the order of their file.
    """
    try:
        found = paper_fid(generated, real, inception_features())
    except (FidelityUnavailable, QualityError) as error:
        return PaperFidelityResult(False, str(error))
    return PaperFidelityResult(True, "", found.as_released, found.correct)


def inception_features() -> Features:
    """The 2,048 features (N, 2048) before the classes of torch-fidelity's Inception, of images in [-1, 1].

    Raises
    ------
    FidelityUnavailable
        It or its weights are missing; the message says which and what to do.
    """
    weights = _weights()
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:
        raise FidelityUnavailable(_not_importable(error)) from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    ).to(device)

    def features(images: NDArray[np.float32]) -> NDArray[np.float64]:
        found = []
        with torch.no_grad():
            for first in range(0, len(images), _BATCH):
                pixels = torch.from_numpy(_Images(images[first : first + _BATCH]).images)
                found.append(network(pixels.to(device))[0].cpu().numpy())
        return np.concatenate(found).astype(np.float64)

    return features


def _weights() -> Path:
    weights = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not weights.exists():
        place = str(weights).replace(str(Path.home()), "~")
        raise FidelityUnavailable(
            f"The Inception weights are not at {place}; {INSTALL} and place {WEIGHTS} there"
        )
    return weights


def _not_importable(error: Exception) -> str:
    # torchvision beside another build of torch raises RuntimeError.
    return f"torch-fidelity cannot be imported ({error}); {INSTALL}"
