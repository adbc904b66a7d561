"""The Poisson latent of ESVAE: posterior sampling with its gradient, learned prior, and distance between the two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

GRADIENT_GATE = 0.5  # half width of the rectangle the sampling gradient passes through
MMD_KERNELS = 5


class _Bernoulli(torch.autograd.Function):
    """``z = [u < r]`` with ``dz/dr := [|r - u| < 0.5]``; the noise gets no gradient."""

    @staticmethod
    def forward(ctx: Any, rates: Tensor, noise: Tensor) -> Tensor:
        ctx.save_for_backward(rates, noise)
        return (noise < rates).to(rates.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rates, noise = ctx.saved_tensors
        gated = grads[0] * ((rates - noise).abs() < GRADIENT_GATE)
        return gated.sum_to_size(rates.shape), None


class SpikeRelay(nn.Module):
    """Hands spikes on unchanged: where the host may resample the latent on the way through."""

    #: Tells an exporter that the host may act here.
    spikewright_host_step = "resample"

    def forward(self, spikes: Tensor) -> Tensor:
        """Return the spikes."""
        return spikes


class PoissonLatent(nn.Module):
    """Replaces a spike train by a Bernoulli train of the same rate.

    The published name is Poisson; each step is an independent Bernoulli draw with probability count / T.
    """

    def __init__(self) -> None:
        super().__init__()
        self.relay = SpikeRelay()

    def forward(self, spikes: Tensor) -> Tensor:
        """Resample spikes (T, N, d); each input spike gets 1/T of its latent's gated gradient."""
        rates = spikes.mean(0, keepdim=True)
        sampled: Tensor = _Bernoulli.apply(rates, torch.rand_like(spikes))
        return sampled


class RatePrior(nn.Module):
    """Learned prior over firing rates: ``r = sigmoid(W n + b)`` with ``n ~ N(0, I)``."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, latent)

    def forward(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Rates (count, d) in (0, 1); training and generation both come through here."""
        weight = self.linear.weight
        noise = torch.randn(
            count, weight.shape[1], generator=generator, device=weight.device, dtype=weight.dtype
        )
        rates: Tensor = torch.sigmoid(self.linear(noise))
        return rates


def squared_mmd(x: Tensor, y: Tensor, *, unbiased: bool = False) -> Tensor:
    """Squared maximum mean discrepancy with a mixture of five Gaussian kernels.

    Kernels are ``exp(-D2 / b_k)`` with ``b_k = m {1/4, 1/2, 1, 2, 4}`` and ``m`` the mean off-diagonal squared
    distance of the joined set, without gradient (ESVAE's published code).

    Parameters
    ----------
    x, y : Tensor
        Samples (N, d), equal N.
    unbiased : bool
        Leave the diagonals out (for reports). The biased form, used in training, has a floor of about
        ``2 (5 - mean kernel) / N``.

    Returns
    -------
    Tensor
        Scalar.
    """
    joined = torch.cat([x, y])
    squared = (joined[:, None, :] - joined[None, :, :]).square().sum(-1)
    size = joined.shape[0]
    base = squared.detach().sum() / (size * (size - 1)) / 2 ** (MMD_KERNELS // 2)
    # Equal samples have no bandwidth; any positive one gives the right answer, zero.
    base = base.clamp_min(torch.finfo(base.dtype).tiny)
    kernel = torch.stack([torch.exp(-squared / (base * 2**k)) for k in range(MMD_KERNELS)]).sum(0)
    n = x.shape[0]
    xx, yy, xy = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if unbiased:
        pairs = n * (n - 1)
        within = (xx.sum() - xx.diagonal().sum() + yy.sum() - yy.diagonal().sum()) / pairs
        return within - 2 * xy.mean()
    return xx.mean() + yy.mean() - 2 * xy.mean()
