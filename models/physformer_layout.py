"""Sizes and variants of the Spiking-PhysFormer (Liu et al., arXiv 2402.04798)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: ``reproduction``: the published read-out and mask. ``deployment``: what of it depends on the spiking blocks.
Variant: TypeAlias = Literal["reproduction", "deployment"]
#: ``mask``: the published attention, which lets spikes through or not. ``values``: tokens exchange values.
Attention: TypeAlias = Literal["mask", "values"]
HALVINGS = 3  # of height and width by the stem
PATCH_FRAMES = 4  # frames a token covers, which the head undoes


@dataclass(frozen=True)
class PhysFormerConfig:
    """Size of a Spiking-PhysFormer and of its ANN twin.

    Attributes
    ----------
    image : tuple of int
        Height and width of a frame in pixels.
    frames : int
        Frames of a clip.
    width : int
        Channels of a token.
    blocks : int
        Spiking transformer blocks.
    ratio : int
        Hidden channels of a block's MLP over ``width``.
    mlp_frames : int
        Time slices of tokens that the first layer of a block's MLP sees, odd; the published MLP sees one. A stem that mixes
        no frames leaves it to the blocks to tell a pulse from noise in time.
    patch : tuple of int
        Height and width of a token in pixels behind the stem.
    timesteps : int
        Time steps that an embedding is repeated for.
    variant : str
        ``deployment`` reads spikes alone, sums coincidences over the tokens of one time slice, and has a stem that
        mixes no frames; ``reproduction`` reads the stream, and sums over all tokens.
    attention : str
        ``mask`` is the published one; with ``values``, tokens read what keys and values of all of a clip have in common.
    heads : int
        Of the twin's attention, and of ``values``.
    """

    image: tuple[int, int] = (32, 32)
    frames: int = 160
    width: int = 32
    blocks: int = 2
    ratio: int = 4
    mlp_frames: int = 1
    patch: tuple[int, int] = (2, 2)
    timesteps: int = 4
    variant: Variant = "deployment"
    attention: Attention = "mask"
    heads: int = 4

    def __post_init__(self) -> None:
        for side, patch, name in zip(self.image, self.patch, ("height", "width"), strict=True):
            if side % (patch << HALVINGS):
                raise ValueError(
                    f"image {name} {side}: take a multiple of {patch << HALVINGS} (patches of {patch} behind a stem that "
                    f"halves {HALVINGS} times)"
                )
        if self.frames % PATCH_FRAMES:
            raise ValueError(f"frames = {self.frames}: take a multiple of {PATCH_FRAMES}")
        if self.mlp_frames % 2 == 0:
            raise ValueError(f"mlp_frames = {self.mlp_frames}: take an odd number, as many slices either way")
        if self.width % 4:
            raise ValueError(
                f"width = {self.width}: take a multiple of 4, which the stem and the twin's heads divide"
            )

    @property
    def grid(self) -> tuple[int, int, int]:
        """Tokens over time, height and width."""
        rows, columns = (side >> HALVINGS for side in self.image)
        return self.frames // PATCH_FRAMES, rows // self.patch[0], columns // self.patch[1]

    @property
    def reach(self) -> int:
        """Token frames to either side that a block looks at: one by its queries, perhaps more by its MLP."""
        return max(1, self.mlp_frames // 2)

    @property
    def counts_all(self) -> bool:
        """Whether coincidences are counted over all of a clip, so that none can be told before its end."""
        return self.variant == "reproduction" or self.attention == "values"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of an embedding: channels, then the grid."""
        return self.width, *self.grid


SIZES = {
    "micro": PhysFormerConfig(frames=32, width=8, blocks=1, ratio=2),
    "S": PhysFormerConfig(),
    "paper": PhysFormerConfig(image=(128, 128), width=96, blocks=4, patch=(4, 4)),
}
