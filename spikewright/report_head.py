"""What every report says first: who wrote it when, of which recipe, for which chip, at which time scale."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from . import __version__
from .hardware.chip import Chip
from .hardware.program import Program
from .workspace import Workspace


def head(workspace: Workspace, chip: Chip, programs: Sequence[Program]) -> dict[str, Any]:
    """Fields of a report by name.

    Parameters
    ----------
    programs : sequence of Program
        The one that runs most often first; time steps, period and latency are its own.
    """
    recipe, first = workspace.recipe, programs[0]
    return {
        "tool": f"spikewright {__version__}",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": recipe.model.kind,
        "dataset": recipe.data.name,
        "dataset_note": workspace.dataset_note,
        "seed": recipe.seed,
        "chip": chip.title,
        "weight_bits": recipe.quantise.bits,
        "per_channel_scales": any(len(set(p.scale)) > 1 for program in programs for p in program.populations),
        "timesteps": first.timesteps,
        "period": first.period,
        "latency_steps": first.depth + first.timesteps,
        "recipe": recipe.model_dump(mode="json"),
    }
