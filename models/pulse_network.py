"""What networks that tell a pulse wave from a clip have in common: losses, augmentation, the curriculum."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from .physformer_layout import PhysFormerConfig
from .pulse_losses import RATES as RATE_BINS
from .pulse_losses import PulseLoss, spectrum

FPS = 30.0  # frames a second that clips are resampled to
WINDOW = (0.05, 0.30)  # firing rates that training leaves alone


class PulseNetwork(nn.Module):
    """A network from clips (N, 3, frames, H, W), as frame differences, to the differences of the pulse (N, frames).

    Attributes
    ----------
    criterion : PulseLoss
        The published weights by default.
    progress : float
        Where training stands, 0 to 1; the weights of the losses follow it.
    """

    def __init__(self, config: PhysFormerConfig, criterion: PulseLoss | None = None) -> None:
        super().__init__()
        self.config = config
        self.progress = 0.0
        self.criterion = criterion or PulseLoss(FPS)

    @abstractmethod
    def predict(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waves (N, frames), and spikes (T, N, ...) by population where there are any."""

    def forward(self, clips: Tensor) -> Tensor:
        """Waves (N, frames)."""
        return self.predict(clips)[0]

    def losses(self, clips: Tensor, rate_penalty: float = 0.0, *, labels: Tensor) -> dict[str, Tensor]:
        """Losses of a batch: negative Pearson correlation, and those of the heart rate's spectrum.

        Parameters
        ----------
        clips : Tensor
            Shape (N, 3, frames, H, W); each is mirrored in half of the cases.
        rate_penalty : float
            Weight of what populations fire outside of :data:`WINDOW`.
        labels : Tensor
            Differences of the pulse, shape (N, frames).
        """
        mirrored = torch.rand(len(clips), device=clips.device) < 0.5
        clips = torch.where(mirrored[:, None, None, None, None], clips.flip(-1), clips)
        # A quarter less time a step on a processor.
        clips = clips.contiguous(memory_format=torch.channels_last_3d)
        waves, rasters = self.predict(clips)
        found = self.criterion(waves, labels, _heart_rate(labels), self.progress)
        if rasters and rate_penalty:
            found["outside"] = outside(rasters)
            found["total"] = found["total"] + rate_penalty * found["outside"]
        return found

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """One group."""
        return [{"params": list(self.parameters()), "lr": lr}]


def _heart_rate(labels: Tensor) -> Tensor:
    """Heart rate of each clip (N,) in bpm, read off the label as it is read off a prediction."""
    return spectrum(labels.float(), FPS).argmax(1).to(labels.dtype) + RATE_BINS[0]


def outside(rasters: dict[str, Tensor]) -> Tensor:
    """By how much the firing rates of populations miss :data:`WINDOW`, on average."""
    rates = torch.stack([raster.mean() for raster in rasters.values()])
    return (torch.relu(WINDOW[0] - rates) + torch.relu(rates - WINDOW[1])).mean()
