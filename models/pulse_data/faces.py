"""Find the face and cut it out, as the rPPG-Toolbox does: once, at the beginning, with OpenCV's Haar cascade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from ..data.errors import DataError
from .box import Box
from .video import opencv

MARGIN = 1.5
SEARCHED = 30  # frames; about a second
_CASCADE = "haarcascade_frontalface_default.xml"


def face_box(frames: Iterable[NDArray[np.uint8]], name: str = "video") -> Box:
    """Box around the largest face of the first frame that shows one, half as large again about its centre.

    Parameters
    ----------
    frames : iterable of ndarray of uint8, shape (H, W, 3)
        The first thirty are searched.
    name : str
        What to call the video if no face is found.

    Raises
    ------
    DataError
        No face is found, or OpenCV is not installed.
    """
    cv2 = opencv()
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)
    searched = 0
    for frame in islice(frames, SEARCHED):
        searched += 1
        found = cascade.detectMultiScale(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY))
        if len(found):
            x, y, width, height = max((tuple(map(int, face)) for face in found), key=lambda face: face[2])
            return Box(x, y, width, height).enlarged(MARGIN, frame.shape[0], frame.shape[1])
    raise DataError(
        f"no face found in {name}: none of its first {searched} frames shows one from the front: "
        "give its place with --box x,y,w,h"
    )


def crop(frames: NDArray[np.uint8], box: Box, size: int | tuple[int, int]) -> NDArray[np.uint8]:
    """Cut a box out of frames (T, H, W, 3) and bring it to a height and width, averaging over areas.

    Raises
    ------
    DataError
        The box does not lie within the frames, the size is empty, or OpenCV is not installed.
    """
    box.check(frames.shape[1:], "crop")
    return np.stack(list(_crops(frames, box, _size(size))))


def cropped(
    frames: Iterable[NDArray[np.uint8]],
    size: int | tuple[int, int],
    box: Box | None = None,
    name: str = "video",
) -> Iterator[NDArray[np.uint8]]:
    """`crop` frames as they come, to the given box or to that of the face; only the first second is held.

    Raises
    ------
    DataError
        As for `face_box` and `crop`.
    """
    height_width = _size(size)
    rest = iter(frames)
    first = list(islice(rest, 1 if box else SEARCHED))
    if not first:
        return
    box = box or face_box(first, name)
    box.check(first[0].shape, name)
    yield from _crops(chain(first, rest), box, height_width)


def _crops(
    frames: Iterable[NDArray[np.uint8]], box: Box, size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    cv2 = opencv()
    for frame in frames:
        part = np.ascontiguousarray(frame[box.y : box.y + box.height, box.x : box.x + box.width])
        yield cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA)


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise DataError(f"crop to {height} x {width} pixels: give at least 1 x 1")
    return height, width
