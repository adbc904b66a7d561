"""Layers that fall silent: neurons that fired in the float network and no longer do in integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.levels import Finding
from .program import Program, ProgramError

RULE = "silent layer"
#: Share of the neurons that fired in float which may fall silent before it is worth a warning.
SHARE = 0.1


def silent(
    program: Program,
    float_rates: Mapping[str, NDArray[Any]],
    integer_rates: Mapping[str, NDArray[Any]],
    share: float = SHARE,
) -> list[Finding]:
    """Populations whose rates collapsed.

    Parameters
    ----------
    program : Program
        Read-outs and relays, graded ones among them, of it are passed over.
    float_rates, integer_rates : mapping of str to ndarray
        Spikes by population over the same samples, as counts or rates: (neurons,) or (samples, neurons).
    share : float
        Largest share of the neurons that fired in float which may be silent without a finding.

    Returns
    -------
    list of Finding
        An error where a whole population fell silent, a warning where more than ``share`` of its neurons did.

    Raises
    ------
    ProgramError
        Rates of another number of neurons than the program's, or ``share`` outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ProgramError(f"share: {share} is outside 0..1")
    out = []
    for p in program.populations:
        if p.readout or p.relay or p.graded or p.name not in float_rates or p.name not in integer_rates:
            continue
        before, after = (_rates(p.name, p.size, rates[p.name]) for rates in (float_rates, integer_rates))
        fired = before > 0
        lost = fired & ~(after > 0)
        if not fired.any() or lost.sum() <= share * fired.sum():
            continue
        loudest = int(np.where(lost, before, -1.0).argmax())
        if not (after > 0).any():
            detail = f"all {int(fired.sum())} neurons that fired in float are silent in integers"
        else:
            detail = f"{int(lost.sum())} of the {int(fired.sum())} neurons that fired in float are silent in integers"
        detail += f", neuron {loudest} the most active of them ({before[loudest]:.3g} before)"
        remedy = "quantise with one scale a channel, more weight bits, or a larger scale, so that less is rounded away"
        severity = "warning" if (after > 0).any() else "error"
        out.append(Finding(severity, p.name, RULE, detail, remedy))  # type: ignore[arg-type]
    return out


def _rates(name: str, neurons: int, given: NDArray[Any]) -> NDArray[np.float64]:
    """Mean a neuron."""
    rates = np.asarray(given, np.float64)
    if rates.ndim not in (1, 2) or rates.shape[-1] != neurons or not len(rates):
        raise ProgramError(
            f"rates of {name}: shape {rates.shape}, wanted ({neurons},) or (samples, {neurons})"
        )
    return rates if rates.ndim == 1 else rates.mean(0)
