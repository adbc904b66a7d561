"""A Loihi 2 chip behind Lava: what of it is missing here, and Lava's models of processes on the chip.

The chip's models come with lava-loihi, an extension that Intel gives to members of its research community; nothing here has
run with it on silicon.
"""

# Lava carries no types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from ..program import Program
from .compat import available
from .launch import LavaError, LavaUnavailable

#: The module by which Lava itself tells whether the extension is there (``lava.utils.loihi.is_installed``).
EXTENSION = "lava.utils.loihi2_profiler"
#: Environment variables that Lava's ``use_ethernet_host`` and ``use_slurm_host`` leave for the run.
BOARDS = ("NXSDKHOST", "SLURM")


def missing() -> list[str]:
    """What a run on a chip lacks here, each with what mends it; nothing where all is there."""
    possible, reason = available()
    if not possible:
        return [reason]
    found = []
    if importlib.util.find_spec(EXTENSION) is None:
        found.append(
            "lava-loihi, Intel's extension with the chip's models, is not installed; members of the Intel Neuromorphic Research "
            "Community are given it"
        )
    if not any(os.environ.get(name) for name in BOARDS):
        found.append(
            "no board is chosen; call lava.utils.loihi.use_ethernet_host(address) or use_slurm_host(board=...) first, which set "
            f"{' or '.join(BOARDS)}"
        )
    return found


def require_chip(program: Program) -> None:
    """Refuse where no chip can be reached, or what it has no model of.

    Raises
    ------
    LavaUnavailable
        Something is missing; the message names all of it.
    LavaError
        The program has graded relays, which are a process of this project without microcode.
    """
    lacking = missing()
    if lacking:
        raise LavaUnavailable(f"no Loihi 2 can be reached: {'; '.join(lacking)}")
    relay = next((p.name for p in program.populations if p.graded), None)
    if relay is not None:
        raise LavaError(
            f"{relay}: is a graded relay, of which there is no microcode for the chip; deploy with residual = 'unrolled'"
        )


def chip_model(process: type) -> Any:
    """The extension's model of one of Lava's processes.

    Raises
    ------
    LavaError
        There is none.
    """
    name = f"{process.__module__.rpartition('.')[0]}.ncmodels"
    try:
        there = list(vars(importlib.import_module(name)).values())
    except ModuleNotFoundError:
        there = []
    for model in there:
        if isinstance(model, type) and getattr(model, "implements_process", None) is process:
            return model
    raise LavaError(
        f"lava-loihi has no model of {process.__name__} in {name}; take backend 'lava' or 'emulator'"
    )
