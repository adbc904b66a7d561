"""Gaussian diffusion in discrete steps: how much of an image is left at each (Ho et al., arXiv 2006.11239).

Everything is double precision: ``1 - alpha_bar`` loses four digits in single.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear variances of the noise that each step adds.

    Attributes
    ----------
    steps : int
        Number of steps; their index runs from 0.
    first, last : float
        Variance that the first and the last step add.
    """

    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    @cached_property
    def beta(self) -> Table:
        """Variance that each step adds, shape (steps,)."""
        return np.linspace(self.first, self.last, self.steps)

    @cached_property
    def alpha_bar(self) -> Table:
        """Share of the image in the variance after each step: the product of all ``1 - beta``, shape (steps,)."""
        return np.asarray(np.cumprod(1 - self.beta), np.float64)

    @cached_property
    def before(self) -> Table:
        """``alpha_bar`` of the step before, 1 ahead of the first, shape (steps,)."""
        return np.concatenate([[1.0], self.alpha_bar[:-1]])

    @cached_property
    def posterior(self) -> tuple[Table, Table]:
        """Weights of the image and of what is seen in the mean of the step before (eq. 7 of DDPM), (steps,) each."""
        image = np.sqrt(self.before) * self.beta / (1 - self.alpha_bar)
        seen = np.sqrt(1 - self.beta) * (1 - self.before) / (1 - self.alpha_bar)
        return image, seen

    @cached_property
    def spread(self) -> Table:
        """Standard deviation of the step before, shape (steps,): the larger choice of DDPM, ``sqrt(beta)``.

        The first has the posterior variance of the second, since its own is 0.
        """
        variance = self.beta.copy()
        if self.steps > 1:
            variance[0] = self.beta[1] * (1 - self.before[1]) / (1 - self.alpha_bar[1])
        return np.asarray(np.sqrt(variance), np.float64)

    def strided(self, count: int) -> NDArray[np.int64]:
        """``count`` indices from the last step to the first, evenly spaced; a single one is the last.

        Raises
        ------
        ValueError
            None, or more than there are.
        """
        if not 1 <= count <= self.steps:
            raise ValueError(f"{count} steps of a diffusion of {self.steps}; choose 1 to {self.steps}")
        return np.rint(np.linspace(self.steps - 1, 0, count)).astype(np.int64)
