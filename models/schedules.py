"""Learning rates over training, as a factor of the recipe's."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Schedule: TypeAlias = Literal["constant", "cosine", "onecycle"]

WARM_UP = 0.05  # share of a cycle's steps on which the rate rises
FIRST = 1 / 25  # factor that a cycle starts from


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """Factor of the learning rate at a step, from 0 to ``steps - 1``.

    ``cosine`` falls from 1 to 0 in half a period. ``onecycle`` rises from 1/25 to 1 in the first 5 % of the steps and
    falls to 0, both along a cosine (Smith and Topin, arXiv 1708.07120, who move the momentum as well, which is left
    alone here).
    """
    if schedule == "constant":
        return 1.0
    warm = round(WARM_UP * steps) if schedule == "onecycle" else 0
    if step < warm:
        return FIRST + (1 - FIRST) * 0.5 * (1 - math.cos(math.pi * step / warm))
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
