"""Absorbing diffusion over token grids: what is hidden when, what training minimises, and the bound it is judged by.

Of ``T_d`` diffusion times, as many as a grid has positions, time ``t`` hides each position with probability
``t / T_d`` (Austin et al. 2021; schedule of Bond-Taylor et al. 2022). The hidden state is one more token, number ``K``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .draws import Purpose, uniforms

#: Logits (N, K, h, w) of partly hidden grids (N, h, w), int64: a network in float, or its integer program.
Predictor: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.floating | np.integer]]


def hide(tokens: Tensor, codes: int) -> tuple[Tensor, Tensor]:
    """Hide positions of grids (N, h, w) at a random time each.

    Returns
    -------
    hidden : Tensor
        Grids with ``codes`` in the hidden positions.
    time : Tensor
        Diffusion times 1 to h w, shape (N,).
    """
    positions = tokens[0].numel()
    time = torch.randint(1, positions + 1, (len(tokens),), device=tokens.device)
    drawn = torch.rand(tokens.shape, device=tokens.device)
    return tokens.masked_fill(drawn * positions < time[:, None, None], codes), time


def reweighted_bits(logits: Tensor, tokens: Tensor, hidden: Tensor, time: Tensor) -> Tensor:
    """Reweighted bound of Bond-Taylor et al. in bits a token: cross-entropy of hidden positions, easy times first.

    The weight of time ``t`` is ``(T_d - t + 1) / T_d``. The code released with Spiking-Diffusion has ``1 - t / T_d``,
    which never trains the wholly hidden grid that sampling starts from.

    Parameters
    ----------
    logits : Tensor
        Shape (N, K, h, w).
    tokens, hidden : Tensor
        Grids (N, h, w), whole and as the network saw them.
    time : Tensor
        Diffusion times (N,).
    """
    positions = tokens[0].numel()
    entropy = nn.functional.cross_entropy(logits, tokens, reduction="none")
    missed = (entropy * (hidden != tokens)).sum((1, 2))
    weight = (positions - time + 1) / positions
    return (weight * missed).mean() / (math.log(2) * positions)


@dataclass(frozen=True)
class Bound:
    """How well tokens are predicted.

    Attributes
    ----------
    bits : float
        Variational bound on the negative log-likelihood, bits a token.
    masked_accuracy : float
        Share of hidden positions where the largest logit is right.
    grids : int
        Grids that were scored.
    """

    bits: float
    masked_accuracy: float
    grids: int


def elbo(
    predict: Predictor, tokens: NDArray[np.int64], codes: int, *, seed: int = 0, batch: int = 100
) -> Bound:
    """Estimate the exact bound ``sum_t E[(1/t) sum over hidden of -log2 p] / T_d``, one time a grid.

    Times are spread evenly over the grids, in an order that the seed decides; what is hidden follows from seed and
    grid number, so that every predictor is asked the same. The sum is divided by its own number of terms
    ``sum (1/t) |hidden|``, whose expectation is the number of grids: the estimate then has no noise from how many
    positions happen to be hidden, and a uniform predictor scores ``log2 K`` exactly.

    Parameters
    ----------
    predict : callable
        Logits (N, K, h, w) of grids (N, h, w).
    tokens : ndarray of int64, shape (N, h, w)
        Grids to score.
    codes : int
        ``K``; also the number of the hidden state.
    batch : int
        Grids handed over at once.
    """
    count, positions = len(tokens), tokens[0].size
    order = np.argsort(uniforms(seed, Purpose.STAGE, [0], count)[0], kind="stable")
    time = np.empty(count, np.int64)
    time[order] = 1 + np.arange(count) % positions
    bits = terms = 0.0
    right = asked = 0
    for start in range(0, count, batch):
        part, t = tokens[start : start + batch], time[start : start + batch]
        drawn = uniforms(seed, Purpose.MASK, range(start, start + len(part)), positions).reshape(part.shape)
        where = drawn * positions < t[:, None, None]
        logits = np.asarray(predict(np.where(where, codes, part)), np.float64)
        shifted = logits - logits.max(1, keepdims=True)
        own = np.take_along_axis(shifted, part[:, None], 1)[:, 0]
        surprise = (np.log(np.exp(shifted).sum(1)) - own) / math.log(2)
        bits += float(((surprise * where).sum((1, 2)) / t).sum())
        terms += float((where.sum((1, 2)) / t).sum())
        right += int(((logits.argmax(1) == part) & where).sum())
        asked += int(where.sum())
    if not asked:
        raise ValueError(f"nothing is hidden in {count} grids of {positions} positions; score more grids")
    return Bound(bits / terms, right / asked, count)


def unigram_bits(tokens: NDArray[np.int64]) -> float:
    """Entropy of the tokens' own frequencies, bits a token: what is reached without looking at a grid."""
    _, counts = np.unique(tokens, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def predictor(network: nn.Module) -> Predictor:
    """A network in eval mode as a function of arrays."""
    device = next(network.parameters()).device

    def predict(tokens: NDArray[np.int64]) -> NDArray[np.floating]:
        with torch.no_grad():
            logits: Tensor = network(torch.from_numpy(tokens).to(device))
        return logits.cpu().numpy()

    return predict
