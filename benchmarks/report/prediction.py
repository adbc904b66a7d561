"""How well a denoiser predicts: what every view shows of it, be it tokens or noise."""

from __future__ import annotations

from dataclasses import dataclass

from .tables import Table

#: Versions in the order in which generated images and predictions stand: float and chip, which are alike, side by side.
ORDER = ("float", "int8", "ann")


@dataclass(frozen=True)
class Prediction:
    """Figures of what a denoiser predicts, ready to show.

    Attributes
    ----------
    title : str
        What it predicts.
    table : Table
        Figures of each version.
    note : str
        The integer program against the float network, and the limit.
    loud : bool
        Whether it is beyond the limit.
    remark : str
        What the figures are to be read with.
    """

    title: str
    table: Table
    note: str
    loud: bool
    remark: str
