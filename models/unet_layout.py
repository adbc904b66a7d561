"""The plan of the U-Net of SDDPM (Cao et al., arXiv 2306.17046): which block follows which, and how wide each is.

The spiking network and its ANN twin share it. Two residual blocks a resolution lead down, three lead up and each of
these takes back one stream of the way down, so that all of them are used: the first, and what each block made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Build: TypeAlias = Literal["faithful", "chip", "lean"]
Prediction: TypeAlias = Literal["noise", "velocity"]


@dataclass(frozen=True)
class UNetConfig:
    """Size and build of a U-Net.

    Attributes
    ----------
    image : tuple of int
        Height and width in pixels; each a multiple of ``2 ** (len(multipliers) - 1)``.
    in_channels : int
        Image channels.
    channels : int
        Channels at full resolution; even, for the sinusoids of the time.
    multipliers : tuple of int
        Channels at each resolution, as multiples.
    blocks : int
        Residual blocks a resolution on the way down; one more on the way up.
    timesteps : int
        Steps an image is presented for; the ANN twin has one.
    diffusion_steps : int
        Steps of the diffusion.
    build : str
        ``faithful``, as published: shortcuts and tail read the analogue stream, and the tail has a SiLU, which is the
        host's. ``chip``: the same with one linear convolution as tail, so that all of it lowers to synapses. ``lean``:
        shortcuts read the spikes at the block's entrance as well, which takes the fewest synapses.
    coding_channels : int, optional
        Channels of spikes that the image is coded into; by default ``channels``. The few values that a neuron has for a
        constant current in a few steps are all that is seen of an image. The ANN twin has no such layer.
    prediction : str
        What the network tells of an image: the ``noise`` in it, as published, or the ``velocity``
        ``sqrt(abar) noise - sqrt(1 - abar) image`` (Salimans and Ho, arXiv 2202.00512). From the latter and the image as it
        is seen follows the noise; the more noise there is, the less what the network tells has to do with it, and the
        less its errors count.
    """

    image: tuple[int, int] = (28, 28)
    in_channels: int = 1
    channels: int = 16
    multipliers: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    timesteps: int = 4
    diffusion_steps: int = 1000
    build: Build = "chip"
    coding_channels: int | None = None
    prediction: Prediction = "noise"

    def __post_init__(self) -> None:
        stride = 2 ** (len(self.multipliers) - 1)
        if any(side % stride or side < stride for side in self.image):
            raise ValueError(
                f"image size {self.image[0]}x{self.image[1]}: {len(self.multipliers)} resolutions need each side to be "
                f"a multiple of {stride}"
            )
        if self.channels % 2:
            raise ValueError(f"channels is {self.channels}; the sinusoids of the time need an even number")


#: The published size and those that train on a processor.
SIZES: dict[str, UNetConfig] = {
    "smoke": UNetConfig(image=(12, 12), channels=8),
    "S": UNetConfig(image=(16, 16)),
    "M": UNetConfig(),
    "M+": UNetConfig(channels=32),
    "L": UNetConfig(image=(32, 32), multipliers=(1, 2, 2, 4), blocks=2),
    "paper": UNetConfig((32, 32), 3, 128, (1, 2, 2, 4), 2, build="faithful"),
}


@dataclass(frozen=True)
class Stage:
    """One block of the plan.

    Attributes
    ----------
    name : str
        ``d0_1``: second block at full resolution, on the way down; ``m``: in the middle; ``u``: on the way up.
    kind : str
        A residual block, or one that halves or doubles the resolution.
    main, skip, out : int
        Channels of the stream that enters, of the one taken back from the way down, and of what leaves.
    side : tuple of int
        Height and width of what leaves.
    """

    name: str
    kind: Literal["residual", "down", "up"]
    main: int
    skip: int
    out: int
    side: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """All blocks in order of evaluation; the streams before the first and after each of ``down`` are taken back."""

    down: tuple[Stage, ...]
    middle: tuple[Stage, ...]
    up: tuple[Stage, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Every block."""
        return self.down + self.middle + self.up

    @property
    def timed(self) -> tuple[Stage, ...]:
        """Blocks that the diffusion time enters, in order."""
        return tuple(stage for stage in self.stages if stage.kind == "residual")


def plan(config: UNetConfig) -> Plan:
    """The blocks of a configuration."""
    widths = [config.channels * m for m in config.multipliers]
    sides = [(config.image[0] >> level, config.image[1] >> level) for level in range(len(widths))]
    bottom = len(widths) - 1
    width, left = config.channels, [config.channels]
    down, up = [], []
    for level, out in enumerate(widths):
        for i in range(config.blocks):
            down.append(Stage(f"d{level}_{i}", "residual", width, 0, out, sides[level]))
            left.append(out)
            width = out
        if level < bottom:
            down.append(Stage(f"down{level}", "down", width, 0, width, sides[level + 1]))
            left.append(width)
    middle = [Stage(f"m{i}", "residual", width, 0, width, sides[-1]) for i in range(2)]
    for level in reversed(range(len(widths))):
        for i in range(config.blocks + 1):
            up.append(Stage(f"u{level}_{i}", "residual", width, left.pop(), widths[level], sides[level]))
            width = widths[level]
        if level:
            up.append(Stage(f"up{level}", "up", width, 0, width, sides[level - 1]))
    return Plan(tuple(down), tuple(middle), tuple(up))
