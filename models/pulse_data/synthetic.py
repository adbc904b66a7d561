"""Synthetic face video with a known pulse, easy or hard.

Each pixel follows the dichromatic reflection model of Wang et al. (2017, IEEE TBME 64:1479),

    C_k(t) = (1 + i(t)) (u_c,k c_0 + u_s,k s(t) + u_p,k p(t)) + v(t),

with the lamp's intensity i, the skin's own colour u_c c_0, mirrored light u_s s that moves with the head, the pulse
u_p p and the camera's noise v. More blood takes more light away, so that p enters with a minus sign. The strengths of
the two levels are this project's own: at the easy one the classical methods are right within a fraction of a beat a
minute, at the hard one the lamp and the mirrored light change at heart rates as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..data.errors import DataError
from .box import Box
from .recording import Recording
from .scene import Face, background, draw_face, face_layers
from .waveform import ACCEPTABLE, EXCELLENT, Bells, band_noise, draw_pulse, rounder

Level = Literal["easy", "hard"]

FPS = 30.0
_HEART_BPM = (48.0, 140.0)
# Relative strength of the pulse in RGB (de Haan and van Leest, 2014, Physiol Meas 35:1913), green being 1. It is that
# of channels divided by their own mean.
_PULSE = np.array([0.33, 0.77, 0.53]) / 0.77
_MIRROR = np.ones(3) / np.sqrt(3)  # white
_REFERENCE_SIDE = 32  # pixels of the crop at which the noise is stated
_BLOCK = 1 << 15  # pixels handled at a time: what a processor's cache holds of all layers


@dataclass(frozen=True)
class _Strengths:
    """What makes a level: ranges of relative standard deviations, unless another unit is stated.

    Attributes
    ----------
    pulse : tuple of float
        Amplitude in green, of green's mean.
    tones : tuple of float
        What melanin leaves of it, for each skin tone.
    noise : float
        Standard deviation in digital numbers at 32 x 32 pixels of face crop.
    lamp, lamp_in_band : tuple of float
        Common intensity, slow (0.03 to 0.5 Hz) and at heart rates (0.7 to 2.2 Hz).
    mirror, mirror_in_band : tuple of float
        Mirrored light that follows the motion, slow (0.1 to 0.8 Hz) and at heart rates.
    motion, motion_in_band : tuple of float
        Translation, of half the crop's side.
    tint : float
        How far mirrored light and changes of the lamp are from white: standard deviation over the channels.
    """

    pulse: tuple[float, float]
    tones: tuple[float, float, float, float]
    noise: float
    lamp: tuple[float, float]
    lamp_in_band: tuple[float, float]
    mirror: tuple[float, float]
    mirror_in_band: tuple[float, float]
    motion: tuple[float, float]
    motion_in_band: tuple[float, float]
    tint: float


_LEVELS: dict[str, _Strengths] = {
    "easy": _Strengths(
        pulse=(0.004, 0.012),
        tones=(1.0, 0.9, 0.7, 0.5),
        noise=0.3,
        lamp=(0.002, 0.02),
        lamp_in_band=(0.0, 0.0),
        mirror=(0.001, 0.006),
        mirror_in_band=(0.0, 0.0),
        motion=(0.003, 0.01),
        motion_in_band=(0.0, 0.0),
        tint=0.01,
    ),
    "hard": _Strengths(
        pulse=(0.002, 0.008),
        tones=(1.0, 0.85, 0.65, 0.45),
        noise=0.6,
        lamp=(0.005, 0.03),
        lamp_in_band=(0.001, 0.006),
        mirror=(0.0025, 0.015),
        mirror_in_band=(0.004, 0.025),
        motion=(0.01, 0.03),
        motion_in_band=(0.001, 0.004),
        tint=0.12,
    ),
}
LEVELS: tuple[str, ...] = tuple(_LEVELS)
_SLOW_LAMP_HZ, _SLOW_MOTION_HZ, _HEART_HZ = (0.03, 0.5), (0.1, 0.8), (0.7, 2.2)


def generate(
    subject: int,
    level: Level,
    frames: int = 960,
    size: int | tuple[int, int] = 32,
    seed: int = 0,
    *,
    crop: bool = True,
) -> Recording:
    """Make the video of one subject.

    All of a subject, its face and heart rate as well as its video, is drawn from a generator of its own,
    ``default_rng([seed, level, subject])``.

    Parameters
    ----------
    subject : int
        From 0 on.
    level : {'easy', 'hard'}
        How strong the disturbances are.
    frames : int
        Frames at 30 a second, at least 2.
    size : int or tuple of int
        Height and width in pixels, at least 8; one number for both.
    seed : int
        From 0 on; another one makes other people.
    crop : bool
        Whether the face fills the frame, as after cropping, or is a part of it (`face_region` tells which).

    Returns
    -------
    Recording
        Its pulse has peaks up, zero mean and a height of 2 from lowest to highest.

    Raises
    ------
    DataError
        An argument is out of range.
    """
    height, width = _checked(subject, level, frames, size, seed)
    strengths = _LEVELS[level]
    rng = np.random.default_rng([seed, LEVELS.index(level), subject])
    face, rate, bells = _person(rng)
    region = _region(rng, height, width, crop)
    times = np.arange(frames) / FPS
    wave = draw_pulse(rng, times, rate).wave(rounder(bells))
    motion, mirror, lamp = _disturbances(rng, strengths, frames)
    amplitude = rng.uniform(*strengths.pulse) * strengths.tones[face.tone]

    half = min(region.width, region.height) / 2
    shifts = motion * half
    lamp_colour, mirror_colour = rng.normal(1, strengths.tint, (2, 3))
    margin = int(np.ceil(np.abs(shifts).max())) + 1
    columns = (np.arange(-margin, width + margin) + 0.5 - region.x - region.width / 2) / half
    rows = (np.arange(-margin, height + margin) + 0.5 - region.y - region.height / 2) / half
    layers = face_layers(face, columns, rows)
    layers[5:] *= (-amplitude * _PULSE[:, None, None]).astype(np.float32)
    wall = background(rng, height, width)
    noise = strengths.noise * 2 * half / _REFERENCE_SIDE

    video = np.empty((frames, height, width, 3), np.uint8)
    step = max(1, _BLOCK // (height * width))
    courses = np.concatenate(
        [1 + np.outer(lamp, lamp_colour), np.outer(mirror, mirror_colour * _MIRROR), wave[:, None]], axis=1
    ).astype(np.float32)
    for start in range(0, frames, step):
        part = slice(start, start + step)
        light = _expose(layers, wall, shifts[part] + margin, courses[part])
        light += np.float32(noise) * rng.standard_normal(light.shape, np.float32)
        # Half a digital number makes the cut to whole numbers a rounding.
        light += np.float32(0.5)
        np.clip(light, 0, 255.5, out=light)
        video[part] = light.astype(np.uint8).transpose(0, 2, 3, 1)
    name = f"synthetic-{level}-{seed}-{subject}"
    return Recording(name, name, video, wave.astype(np.float32), times)


def face_region(
    subject: int, level: Level, size: int | tuple[int, int] = 32, seed: int = 0, *, crop: bool = True
) -> Box:
    """Where `generate` puts the face: the box of a face detector, enlarged by half.

    Parameters are those of `generate`; so are the errors.
    """
    height, width = _checked(subject, level, 2, size, seed)
    rng = np.random.default_rng([seed, LEVELS.index(level), subject])
    _person(rng)
    return _region(rng, height, width, crop)


def _person(rng: np.random.Generator) -> tuple[Face, float, Bells]:
    """Face, mean heart rate in beats a minute, and shape of the pulse wave."""
    return draw_face(rng), rng.uniform(*_HEART_BPM), (EXCELLENT, ACCEPTABLE)[rng.integers(2)]


def _region(rng: np.random.Generator, height: int, width: int, crop: bool) -> Box:
    """The square around the face, drawn in any case so that what is drawn next does not depend on ``crop``."""
    share, left, top = rng.uniform(0.6, 0.7), rng.uniform(), rng.uniform()
    if crop:
        side = min(height, width)
        left = top = 0.5
    else:
        side = max(4, round(share * min(height, width)))
    return Box(int(left * (width - side)), int(top * (height - side)), side, side)


def _disturbances(
    rng: np.random.Generator, strengths: _Strengths, frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Translation (T, 2) in half sides; mirrored light (T,) and lamp (T,) relative to the skin's and their own mean."""

    def noise(band: tuple[float, float]) -> NDArray[np.float64]:
        return band_noise(rng, frames, band, FPS)

    slow = np.stack([noise(_SLOW_MOTION_HZ), noise(_SLOW_MOTION_HZ)], axis=1)
    fast = np.stack([noise(_HEART_HZ), noise(_HEART_HZ)], axis=1)
    motion = rng.uniform(*strengths.motion) * slow + rng.uniform(*strengths.motion_in_band) * fast
    # The mirrored light goes with the head's motion along one direction.
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    mirror = rng.uniform(*strengths.mirror) * slow @ along
    mirror += rng.uniform(*strengths.mirror_in_band) * fast @ along
    lamp = rng.uniform(*strengths.lamp) * noise(_SLOW_LAMP_HZ)
    lamp += rng.uniform(*strengths.lamp_in_band) * noise(_HEART_HZ)
    return motion, mirror, lamp


def _expose(
    layers: NDArray[np.float32],
    wall: NDArray[np.float32],
    places: NDArray[np.float64],
    courses: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Light of shape (T, 3, H, W) with the face's layers shifted to places, by linear interpolation.

    ``courses`` of shape (T, 7) holds the lamp and the mirrored light, in red, green and blue, and the pulse wave.
    """
    height, width = wall.shape[1:]
    whole = places.astype(np.int64)
    part = (places - whole).astype(np.float32)[:, :, None, None, None]
    windows = sliding_window_view(layers, (height + 1, width + 1), axis=(1, 2)).transpose(1, 2, 0, 3, 4)
    seen = windows[whole[:, 1], whole[:, 0]]
    seen = seen[..., :-1, :] + part[:, 1] * (seen[..., 1:, :] - seen[..., :-1, :])
    seen = seen[..., :-1] + part[:, 0] * (seen[..., 1:] - seen[..., :-1])
    lamp, mirror, wave = (part[:, :, None, None] for part in np.split(courses, [3, 6], axis=1))
    light: NDArray[np.float32] = wall * (1 - seen[:, :1])
    light += seen[:, 1:4]
    light += mirror * seen[:, 4:5]
    light += wave * seen[:, 5:8]
    light *= lamp
    return light


def _checked(
    subject: int, level: str, frames: int, size: int | tuple[int, int], seed: int
) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if level not in _LEVELS:
        raise DataError(f"synthetic video has no level {level!r}: choose one of {', '.join(LEVELS)}")
    if subject < 0 or seed < 0:
        raise DataError(f"synthetic video of subject {subject}, seed {seed}: give numbers from 0 on")
    if frames < 2:
        raise DataError(f"synthetic video of {frames} frames: give at least 2")
    if min(height, width) < 8:
        raise DataError(f"synthetic video of {height} x {width} pixels: give at least 8 x 8")
    return height, width
