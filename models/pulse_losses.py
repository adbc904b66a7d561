"""Losses of networks that predict a pulse wave: its shape in time and its heart rate in frequency (PhysFormer's).

Yu et al. 2022 (arXiv 2111.12082), with the rPPG-Toolbox's corrections to the released code. Waves are (N, T), one clip a
row, and every prediction is brought to zero mean and unit deviation over its clip first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

RATES = range(40, 180)  # bpm, the heart rates that a prediction is asked about
SMALLEST_VARIANCE = 1e-8  # keeps a constant prediction, and its gradients, finite; labels have variance 1
FLOOR = 1e-15  # of the target's probabilities, as released


def normalised(wave: Tensor) -> Tensor:
    """Zero mean and unit deviation over the last axis; a constant becomes zeros, with finite gradients."""
    centred = wave - wave.mean(-1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + SMALLEST_VARIANCE)


def negative_pearson(predicted: Tensor, reference: Tensor) -> Tensor:
    """One less the correlation of each predicted wave with its reference, mean over clips; in [0, 2], 1 for a constant.

    Parameters
    ----------
    predicted, reference : Tensor
        Shape (N, T).

    Raises
    ------
    ValueError
        The shapes differ or are not (N, T) with 2 samples or more.
    """
    _check_waves(predicted)
    if reference.shape != predicted.shape:
        raise ValueError(
            f"predicted waves {tuple(predicted.shape)} against {tuple(reference.shape)}; give equal shapes"
        )
    return 1 - (normalised(predicted) * normalised(reference)).mean()


def integrated(wave: Tensor, fps: float, rates: range = RATES) -> Tensor:
    """The pulse whose changes from frame to frame a wave (N, T) is, same shape, within the band of candidate heart rates.

    Every frequency f of the wave in the band is divided by ``2 pi i f``; all others are left out. A heart rate is read off
    the pulse, where a slow error counts more than in its changes.
    """
    _check_waves(wave)
    frequencies = torch.fft.rfftfreq(wave.shape[-1], 1 / fps, device=wave.device)
    inside = (frequencies >= rates.start / 60) & (frequencies <= rates.stop / 60)
    if not inside.any():
        raise ValueError(f"{wave.shape[-1]} frames at {fps:g} a second hold no heart rate; give longer clips")
    gain = torch.where(inside, -1j / (2 * math.pi * frequencies.clamp_min(1e-9)), 0)
    return torch.fft.irfft(torch.fft.rfft(normalised(wave)) * gain, n=wave.shape[-1])


def spectrum(wave: Tensor, fps: float, rates: range = RATES) -> Tensor:
    """Share of a wave's power at each candidate heart rate.

    Squared projections of the wave, under a Hann window, on a sine and a cosine of each rate, divided by their sum. A
    peak is ``120 fps / T`` bpm wide to either side: 22 for 160 frames at 30 frames/s. A constant has equal shares.

    Parameters
    ----------
    wave : Tensor
        Shape (N, T).
    fps : float
        Frames a second, more than twice the highest rate.
    rates : range
        Candidates in bpm.

    Returns
    -------
    Tensor of shape (N, len(rates))
        Each row sums to 1.
    """
    _check_waves(wave)
    if not (math.isfinite(fps) and fps > max(rates) / 30):
        raise ValueError(f"fps is {fps}; {max(rates)} bpm need more than {max(rates) / 30:g} frames a second")
    length = wave.shape[-1]
    frames = torch.arange(length, dtype=wave.dtype, device=wave.device)
    candidates = torch.tensor(list(rates), dtype=wave.dtype, device=wave.device)
    angles = frames[:, None] * (2 * math.pi / (60 * fps)) * candidates
    window = torch.hann_window(length, periodic=False, dtype=wave.dtype, device=wave.device)
    windowed = normalised(wave) * window
    power = (windowed @ angles.sin()).square() + (windowed @ angles.cos()).square()
    # A wave that is not constant has a power in the thousands; this only decides what a constant gets.
    power = power + SMALLEST_VARIANCE
    return power / power.sum(-1, keepdim=True)


def frequency_cross_entropy(predicted: Tensor, heart_rate: Tensor, fps: float) -> Tensor:
    """Cross-entropy of the true heart rate's bin, with the shares of power taken as logits; mean over clips.

    Shares are at most 1, so that this stays between ``log(139 + e) - 1`` = 3.95 and ``log(139 + e)`` = 4.95 and pulls
    weakly: as released.

    Parameters
    ----------
    predicted : Tensor
        Waves, shape (N, T).
    heart_rate : Tensor
        True rates in bpm, shape (N,), 40 to 179; rounded to whole bpm.
    fps : float
        Frames a second.
    """
    shares = spectrum(predicted, fps)
    bins = _checked_rates(heart_rate, len(shares)).round().long() - RATES.start
    return nn.functional.cross_entropy(shares, bins.to(shares.device))


def label_distribution(predicted: Tensor, heart_rate: Tensor, fps: float, std: float = 1.0) -> Tensor:
    """Divergence of the softmaxed shares of power from a Gaussian around the true heart rate; mean over clips.

    ``sum_k q_k (log q_k - log_softmax(p)_k)`` over the 140 candidate rates; ``q`` is at least 1e-15 and sums to 1.

    Parameters
    ----------
    predicted : Tensor
        Waves, shape (N, T).
    heart_rate : Tensor
        True rates in bpm, shape (N,), 40 to 179.
    fps : float
        Frames a second.
    std : float
        Of the Gaussian, bpm.
    """
    if not std > 0:
        raise ValueError(f"std is {std}; give beats a minute, above 0")
    shares = spectrum(predicted, fps)
    centre = _checked_rates(heart_rate, len(shares)).to(shares)
    candidates = torch.tensor(list(RATES), dtype=shares.dtype, device=shares.device)
    target = torch.softmax(-((candidates - centre[:, None]) / std).square() / 2, -1).clamp_min(FLOOR)
    target = target / target.sum(-1, keepdim=True)
    return nn.functional.kl_div(shares.log_softmax(-1), target, reduction="batchmean")


@dataclass(frozen=True)
class PulseLoss:
    """``alpha * negative_pearson + beta * (frequency_cross_entropy + label_distribution)``, and a term of our own.

    That is ``alpha * integral`` times the negative correlation of the waves' sums, which heart rates are read off.
    Training begins with the wave's shape and turns to its frequency: ``beta = beta0 * eta ** progress`` with alpha
    constant.

    Attributes
    ----------
    fps : float
        Frames a second of all clips.
    alpha, beta0, eta : float
        Weights; ``eta`` is what beta has grown by at the end.
    integral : float
        Weight beside that of the waves' own correlation; the published loss has none.
    """

    fps: float
    alpha: float = 0.1
    beta0: float = 1.0
    eta: float = 5.0
    integral: float = 0.0

    def __post_init__(self) -> None:
        if not (self.fps > 0 and self.eta > 0 and min(self.alpha, self.beta0, self.integral) >= 0):
            raise ValueError(f"{self}: fps and eta must be above 0, alpha, beta0 and integral 0 or more")

    def curriculum(self, progress: float) -> tuple[float, float]:
        """Alpha and beta once a share ``progress`` in [0, 1] of the training is done: (epoch - 1) / epochs."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress is {progress}; give the share of training done, 0 to 1")
        return self.alpha, self.beta0 * self.eta**progress

    def __call__(
        self, predicted: Tensor, reference: Tensor, heart_rate: Tensor, progress: float = 0.0
    ) -> dict[str, Tensor]:
        """Losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        predicted, reference : Tensor
            Waves, shape (N, T).
        heart_rate : Tensor
            True rates in bpm, shape (N,), 40 to 179.
        progress : float
            Share of the training that is done.
        """
        alpha, beta = self.curriculum(progress)
        time = negative_pearson(predicted, reference)
        entropy = frequency_cross_entropy(predicted, heart_rate, self.fps)
        distribution = label_distribution(predicted, heart_rate, self.fps)
        found = {
            "total": alpha * time + beta * (entropy + distribution),
            "pearson": time,
            "entropy": entropy,
            "distribution": distribution,
        }
        if self.integral:
            pulses = (integrated(wave, self.fps) for wave in (predicted, reference))
            found["integral"] = negative_pearson(*pulses)
            found["total"] = found["total"] + alpha * self.integral * found["integral"]
        return found


def _check_waves(wave: Tensor) -> None:
    if wave.ndim != 2 or wave.shape[0] < 1 or wave.shape[1] < 2:
        raise ValueError(
            f"waves of shape {tuple(wave.shape)}; give (N, T), one clip or more of 2 samples or more"
        )


def _checked_rates(heart_rate: Tensor, clips: int) -> Tensor:
    """Heart rates (N,) within the candidates."""
    if heart_rate.shape != (clips,):
        raise ValueError(f"heart rates of shape {tuple(heart_rate.shape)} for {clips} clips; give one a clip")
    inside = (heart_rate >= RATES[0]) & (heart_rate <= RATES[-1])
    if not inside.all():
        raise ValueError(
            f"a heart rate of {heart_rate[~inside][0].item():g} bpm; the candidates are {RATES[0]} to {RATES[-1]}, "
            "leave the clip out"
        )
    return heart_rate
