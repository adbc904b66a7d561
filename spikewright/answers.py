"""The three answers, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .benchmarks.report.schema import Answers, EnergyRow, Equivalence, Fit, Quality, Verdict


def answers(
    quality: Quality, equivalence: Equivalence, fitted: Fit, energy: Mapping[str, EnergyRow], bits: int
) -> Answers:
    """Answer from the report's own figures."""
    return Answers(same=_same(quality, equivalence, bits), fits=_fits(fitted), cost=_cost(energy))


def _same(quality: Quality, e: Equivalence, bits: int) -> Verdict:
    moved = "worse" if quality.gap_percent > 0 else "better"
    gap = f"reconstruction error at {bits} bits is {abs(quality.gap_percent):.2f} % {moved} than the float network's"
    for name, check in (("reference interpreter", e.reference), ("Lava", e.lava)):
        if check.ran and not check.equal:
            at = check.first
            where = (
                ""
                if at is None
                else f", first at {at.population}, sample {at.sample}, step {at.timestep}, neuron {at.neuron}"
            )
            return Verdict(
                status="no",
                text=f"The emulator and the {name} differ in {check.differing_spikes} spikes{where}.",
            )
    unexplained = e.norse.spike_mismatches - e.norse.explained_by_rounding
    if e.norse.ran and unexplained:
        return Verdict(
            status="no",
            text=f"norse and snnTorch differ in {unexplained} spikes that rounding does not explain.",
        )
    if not quality.within_one_percent:
        first = e.first_layer_below_99_percent
        parts = f"; spikes first part at {first} (below 99 % agreement)" if first else ""
        return Verdict(status="no", text=f"The {gap}, more than 1 %{parts}.")
    if not e.lava.ran:
        return Verdict(status="unknown", text=f"The {gap}; the Lava check did not run ({e.lava.reason}).")
    if not e.norse.ran:
        return Verdict(status="unknown", text=f"The {gap}; the norse check did not run ({e.norse.reason}).")
    return Verdict(
        status="yes",
        text=(
            f"Lava and the emulator agree on all {e.lava.neuron_steps:,} spikes and {e.lava.compared_states:,} states; "
            f"norse and snnTorch on {e.norse.neuron_steps - e.norse.spike_mismatches:,} of {e.norse.neuron_steps:,}; the {gap}."
        ),
    )


def _fits(fitted: Fit) -> Verdict:
    errors = [f for f in fitted.findings if f.severity == "error"]
    if errors:
        first = errors[0]
        return Verdict(status="no", text=f"{first.node}: {first.detail}; {first.remedy}.")
    placed = fitted.cores_placed
    need = f"at least {fitted.cores_lower_bound}" if placed is None else f"{placed}"
    how = f"bound by {fitted.binding} (not placed)" if placed is None else f"most bound by {fitted.binding}"
    return Verdict(
        status="yes",
        text=f"{fitted.neurons:,} neurons and {fitted.synapses:,} synapses need {need} of {fitted.cores_available} cores of {fitted.chip}, {how}.",
    )


def _cost(energy: Mapping[str, EnergyRow]) -> Verdict:
    rows = [f"{row.ratio:.2f} times the ANN by {row.title}" for row in energy.values()]
    cheaper = all(row.ratio < 1 for row in energy.values())
    dearer = all(row.ratio >= 1 for row in energy.values())
    status: Literal["yes", "no", "depends"] = "yes" if cheaper else "no" if dearer else "depends"
    said = {
        "yes": "Less than the ANN by every model",
        "no": "More than the ANN by every model",
        "depends": "It depends on the model",
    }
    return Verdict(status=status, text=f"{said[status]}: {'; '.join(rows)}.")
