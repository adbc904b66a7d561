"""A rectangle of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ..data.errors import DataError


@dataclass(frozen=True)
class Box:
    """A rectangle within a frame, in pixels: left column, top row, and how many of each."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read ``x,y,w,h``.

        Raises
        ------
        DataError
            It is not four whole numbers, or the box is empty or begins outside the frame.
        """
        try:
            box = cls(*(int(part) for part in text.split(",")))
        except (ValueError, TypeError):
            raise DataError(f"box {text!r}: give four whole numbers x,y,w,h, in pixels") from None
        if box.x < 0 or box.y < 0 or box.width < 1 or box.height < 1:
            raise DataError(f"box {text!r}: x and y are at least 0, w and h at least 1")
        return box

    def enlarged(self, factor: float, height: int, width: int) -> Box:
        """The box, a factor wider and taller about its centre, as far as a frame of a height and width reaches."""
        centre_x, centre_y = self.x + self.width / 2, self.y + self.height / 2
        half_width, half_height = factor * self.width / 2, factor * self.height / 2
        left, top = max(0, round(centre_x - half_width)), max(0, round(centre_y - half_height))
        right = min(width, round(centre_x + half_width))
        bottom = min(height, round(centre_y + half_height))
        return Box(left, top, right - left, bottom - top)

    def check(self, frame_shape: tuple[int, ...], name: str) -> None:
        """Raise a DataError unless the box lies within a frame of shape (H, W, 3)."""
        height, width = frame_shape[:2]
        inside = self.x >= 0 and self.y >= 0 and self.width > 0 and self.height > 0
        if not inside or self.x + self.width > width or self.y + self.height > height:
            raise DataError(f"{name}: box {self} does not lie within its frames of {width} x {height} pixels")

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"
