"""What a synthetic face looks like before anything moves: skin, eyes, where the pulse shows, and the background.

All is drawn from formulae in coordinates of the face, so that it has any size. One unit is half the side of the square
around the face that a face detector's box, enlarged by half, would give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 250.0  # digital numbers of a reflection of one
# Direction of skin in RGB under white light (de Haan and Jeanne, 2013), and the four brightnesses of skin.
SKIN = np.array([0.7682, 0.5121, 0.3841])
BRIGHTNESS = (0.95, 0.8, 0.62, 0.45)
_EYE = np.array([0.12, 0.10, 0.09])
_EDGE = 0.05  # half-width of a soft edge, in units of the face
_GAIN = (0.3, 1.7)
# Forehead and both cheeks: column, row, and standard deviations of the bell that raises the pulse there.
_STRONG = ((0.0, -0.45, 0.35, 0.16), (-0.3, 0.2, 0.16, 0.2), (0.3, 0.2, 0.16, 0.2))


@dataclass(frozen=True, eq=False)
class Face:
    """A person as drawn: what stays the same over a video.

    Attributes
    ----------
    tone : int
        Skin tone, 0 (lightest) to 3.
    colour : ndarray of float64, shape (3,)
        Reflection of its skin in RGB, 0 to 1.
    half_axes : tuple of float
        Half width and half height of the ellipse.
    eyes : tuple of float
        Column and row of the right-hand eye, half width and half height; the other mirrors it.
    gains : ndarray of float64, shape (5,)
        Pulse strength of forehead, cheeks, of the rest, and of the slope from left to right.
    light : ndarray of float64, shape (2,)
        Slope of the brightness over columns and rows.
    freckles : ndarray of float64, shape (12, 3)
        Columns, rows and depths of darker spots.
    """

    tone: int
    colour: NDArray[np.float64]
    half_axes: tuple[float, float]
    eyes: tuple[float, float, float, float]
    gains: NDArray[np.float64]
    light: NDArray[np.float64]
    freckles: NDArray[np.float64]


def draw_face(rng: np.random.Generator) -> Face:
    """Draw a person."""
    tone = int(rng.integers(len(BRIGHTNESS)))
    colour = BRIGHTNESS[tone] * SKIN * rng.normal(1, 0.04, 3)
    return Face(
        tone,
        np.minimum(colour, 0.95),
        (rng.uniform(0.55, 0.68), rng.uniform(0.75, 0.9)),
        (rng.uniform(0.2, 0.26), rng.uniform(-0.2, -0.1), rng.uniform(0.09, 0.13), rng.uniform(0.05, 0.08)),
        np.concatenate([rng.uniform(0.3, 1.2, 3), rng.uniform(0.5, 0.8, 1), rng.uniform(-0.2, 0.2, 1)]),
        rng.uniform(-0.2, 0.2, 2),
        np.column_stack(
            [rng.uniform(-0.5, 0.5, 12), rng.uniform(-0.7, 0.7, 12), rng.uniform(0.02, 0.12, 12)]
        ),
    )


def face_layers(face: Face, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float32]:
    """Draw what moves with the head.

    Parameters
    ----------
    face : Face
        Who.
    x, y : ndarray of float64, shape (W,) and (H,)
        Columns and rows in units of the face, rightwards and downwards from its centre.

    Returns
    -------
    ndarray of float32, shape (8, H, W)
        How much of a pixel the head covers (0 to 1); its light in red, green and blue (digital numbers, times that
        cover); how it mirrors the lamp; and the pulsing part of the light in red, green and blue: that of the skin
        times the regional gain, whose mean over the skin is 1.
    """
    column, row = np.meshgrid(x, y)
    cover = _soft(
        1 - np.hypot(column / face.half_axes[0], row / face.half_axes[1]), _EDGE / face.half_axes[0]
    )
    eye_x, eye_y, eye_width, eye_height = face.eyes
    eyes = _soft(
        1 - np.hypot((np.abs(column) - eye_x) / eye_width, (row - eye_y) / eye_height),
        _EDGE / 2 / eye_height,
    )
    skin = cover * (1 - eyes)
    shade = 1 + face.light[0] * column + face.light[1] * row - 0.25 * (column**2 + row**2)
    for spot_x, spot_y, depth in face.freckles:
        shade *= 1 - depth * _bell(column - spot_x, row - spot_y, 0.06, 0.06)
    shade = np.maximum(shade, 0.1)
    gain = face.gains[3] + face.gains[4] * column
    for strength, (at_x, at_y, wide, high) in zip(face.gains, _STRONG, strict=False):
        gain = gain + strength * _bell(column - at_x, row - at_y, wide, high)
    gain = np.clip(gain / max((gain * skin).sum() / max(skin.sum(), 1e-9), 1e-9), *_GAIN)
    mirror = cover * (0.3 + 0.7 * _bell(column - face.light[0], row + 0.3, 0.35, 0.5))
    lit_skin = (FULL_SCALE * skin * shade) * face.colour[:, None, None]
    lit = lit_skin + (FULL_SCALE * cover * eyes * shade) * _EYE[:, None, None]
    return np.concatenate([cover[None], lit, FULL_SCALE * mirror[None], lit_skin * gain]).astype(np.float32)


def background(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Draw a wall with soft patches of colour, digital numbers of shape (3, H, W)."""
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)
    wall = rng.uniform(0.1, 0.4) * rng.normal(1, 0.05, (3, 1, 1)) * np.ones((3, height, width))
    for _ in range(6):
        bell = _bell(x[None] - rng.uniform(), y[:, None] - rng.uniform(), 0.2, 0.2)
        wall += rng.uniform(-0.15, 0.15) * rng.normal(1, 0.2, (3, 1, 1)) * bell
    return (FULL_SCALE * np.clip(wall, 0.05, 0.85)).astype(np.float32)


def _soft(inside: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """1 inside, 0 outside, an S over ``width`` each side of the border."""
    part = np.clip(0.5 + inside / (2 * width), 0, 1)
    return part * part * (3 - 2 * part)


def _bell(x: NDArray[np.float64], y: NDArray[np.float64], wide: float, high: float) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((x / wide) ** 2 + (y / high) ** 2))
