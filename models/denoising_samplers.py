"""Sampling images from a Gaussian diffusion, on the host, whatever predicts the noise.

Two rules for a step: DDPM's draws from the posterior (Ho et al., arXiv 2006.11239) and visits every index; DDIM's is
deterministic and may skip (Song et al., arXiv 2010.02502). All draws come from :mod:`~spikewright.models.draws`, so that
equal predictions give equal images, whichever backend made them and with whichever images beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .draws import Purpose, normals
from .epsilon_prediction import NoisePredictor
from .noise_schedule import NoiseSchedule

Images = NDArray[np.float64]


class Denoising:
    """A number of images under way, in batches whose images are at the same index of the diffusion.

    A batch is finished before the next one starts: the network's biases depend on the index, and a chip that streams
    images has one set of them at a time. Image ``first + i`` depends on nothing but its number, the seed and the
    predictions: work may be split or taken up again anywhere.

    Parameters
    ----------
    count : int
        Images.
    shape : tuple of int
        Channels, height and width.
    schedule : NoiseSchedule
        Of the diffusion that the network was trained on.
    steps : int or None
        Evaluations of the network an image, by DDIM; None is DDPM, which visits every index.
    seed, first, batch : int
        Seed of all draws; number of the first image; images to evaluate at once.
    clamp : float or None
        Images are held within ``+-clamp`` as they are predicted, ahead of the mean that is formed with them.

    Attributes
    ----------
    active : ndarray of int64
        The images that wait for a prediction, by their place among all; empty once all are made.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        schedule: NoiseSchedule,
        *,
        steps: int | None = 50,
        seed: int = 0,
        first: int = 0,
        batch: int = 100,
        clamp: float | None = 1.0,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch is {batch}; give at least 1")
        self.count, self.shape, self.schedule, self.seed = count, shape, schedule, seed
        self.first, self.batch, self.clamp = first, batch, clamp
        self.rule: Literal["ddpm", "ddim"] = "ddpm" if steps is None else "ddim"
        self.times = schedule.strided(schedule.steps if steps is None else steps)
        self._made = np.empty((count, *shape))
        self.active = np.arange(0)
        self._position = 0
        self._start(0)

    def _start(self, place: int) -> None:
        """The next batch, as noise."""
        self.active = np.arange(place, min(place + self.batch, self.count))
        self._position = 0
        self._made[self.active] = self._noise(Purpose.START)

    def _noise(self, purpose: Purpose, step: int = 0) -> Images:
        numbers = [self.first + int(place) for place in self.active]
        size = int(np.prod(self.shape))
        return normals(self.seed, purpose, numbers, size, step).reshape(-1, *self.shape)

    @property
    def time(self) -> int:
        """Index of the diffusion at which the active images are."""
        return int(self.times[self._position])

    @property
    def noisy(self) -> Images:
        """The active images (N, C, H, W) as they are."""
        return self._made[self.active]

    @property
    def finished(self) -> int:
        """Images without noise."""
        return int(self.active[0]) if len(self.active) else self.count

    @property
    def images(self) -> Images:
        """All finished images (n, C, H, W)."""
        return self._made[: self.finished]

    def step(self, epsilon: NDArray[np.floating]) -> None:
        """Advance the active images by the noise (N, C, H, W) predicted in them.

        Raises
        ------
        ValueError
            It has another shape, or is not finite.
        """
        seen, time = self.noisy, self.time
        told = np.asarray(epsilon, np.float64)
        if told.shape != seen.shape:
            raise ValueError(f"noise of shape {told.shape} for images of shape {seen.shape}")
        if not np.isfinite(told).all():
            raise ValueError(
                f"predicted noise is not finite at index {time}; look for NaN in the network's weights"
            )
        last = self._position + 1 == len(self.times)
        rule = self._posterior if self.rule == "ddpm" else self._deterministic
        self._made[self.active] = rule(seen, self._image(seen, told, time), time, last)
        self._position += 1
        if last:
            self._start(int(self.active[-1]) + 1)

    def _image(self, seen: Images, epsilon: Images, time: int) -> Images:
        """The image that a prediction means."""
        left = self.schedule.alpha_bar[time]
        image = (seen - np.sqrt(1 - left) * epsilon) / np.sqrt(left)
        return image if self.clamp is None else np.clip(image, -self.clamp, self.clamp)

    def _posterior(self, seen: Images, image: Images, time: int, last: bool) -> Images:
        """A draw from the step before; ahead of the first step there is the image itself."""
        of_image, of_seen = self.schedule.posterior
        mean = of_image[time] * image + of_seen[time] * seen
        return mean if last else mean + self.schedule.spread[time] * self._noise(Purpose.NOISE, time)

    def _deterministic(self, seen: Images, image: Images, time: int, last: bool) -> Images:
        """The image with less of the same noise; the noise is that which belongs to the image as it was clamped."""
        if last:
            return image
        left, then = self.schedule.alpha_bar[time], self.schedule.alpha_bar[self.times[self._position + 1]]
        epsilon = (seen - np.sqrt(left) * image) / np.sqrt(1 - left)
        return np.sqrt(then) * image + np.sqrt(1 - then) * epsilon

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays from which :meth:`restore` goes on."""
        through = self.finished + len(self.active)
        return {"images": self._made[:through].copy(), "at": np.array([self.finished, self._position])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another of the same parameters stood.

        Raises
        ------
        ValueError
            It had others.
        """
        images, (place, position) = np.asarray(state["images"]), (int(n) for n in state["at"])
        active = np.arange(place, min(place + self.batch, self.count))
        if images.shape != (place + len(active), *self.shape) or not position < len(self.times):
            raise ValueError(f"state of {images.shape} images at step {position} belongs to other parameters")
        self._made[: len(images)] = images
        self.active, self._position = active, position


def denoise(
    predict: NoisePredictor,
    count: int,
    shape: tuple[int, int, int],
    schedule: NoiseSchedule,
    *,
    steps: int | None = 50,
    seed: int = 0,
    first: int = 0,
    batch: int = 100,
    clamp: float | None = 1.0,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> Images:
    """Sample images (count, C, H, W) from a predictor; parameters as of :class:`Denoising`.

    Parameters
    ----------
    predict : callable
        Noise (N, C, H, W) in images (N, C, H, W) at an index of the diffusion.
    report : callable
        Is told how many images of how many are finished.
    """
    under_way = Denoising(
        count, shape, schedule, steps=steps, seed=seed, first=first, batch=batch, clamp=clamp
    )
    while len(under_way.active):
        under_way.step(predict(under_way.noisy, under_way.time))
        report(under_way.finished, count)
    return under_way.images
