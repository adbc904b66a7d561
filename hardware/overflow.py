"""Can a program leave its 24 bits? What the proof means for a user: findings, and an error where none may remain.

On the chip a current that passes 2^23 wraps to the other end and a membrane saturates. Neither raises anything: the
network just computes something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..export.formats import STATE_LIMIT, WEIGHT_EXPONENT_MIN, Ints
from ..export.levels import Finding
from .observed import Bounds, calibrate
from .program import Program, ProgramError
from .proof import Fault, PopulationProof, Proof, prove

__all__ = ["Bounds", "PopulationProof", "Proof", "calibrate", "findings", "prove", "require_no_overflow"]

RULE = "24-bit states"
CALM = "nothing to do while inputs resemble the calibration samples"


def findings(proof: Proof, strict: bool = False) -> list[Finding]:
    """What a user should know of a proof.

    Parameters
    ----------
    strict : bool
        Turns an overflow that neither weights nor calibration rule out into an error; a warning otherwise.
    """
    out: list[Finding] = []
    for p in proof.populations:
        for fault in p.faults:
            if p.calibrated:
                out.append(Finding("note", p.name, RULE, _detail(p, fault, proof.bounds), CALM))
            else:
                severity: Literal["error", "warning"] = "error" if strict else "warning"
                detail = _detail(p, fault, proof.bounds)
                out.append(Finding(severity, p.name, RULE, detail, _remedy(fault, proof.bounds)))
        if p.harmless and p.by_weights_verdict != "may wrap":
            detail = f"the membrane of {p.harmless} of {p.neurons} neurons may saturate upward, where they fire anyway"
            out.append(Finding("note", p.name, RULE, detail, "nothing to do, the spike clears it"))
        if not p.readout and not p.by_weights.may_fire.any():
            highest = int(p.by_weights.membrane.high.max())
            detail = f"no neuron can fire whatever arrives: the membrane never passes {highest:,}"
            remedy = "raise the scale, or lower the thresholds; the layer does nothing as it is"
            out.append(Finding("warning", p.name, "silent layer", detail, remedy))
    return out


def require_no_overflow(
    program: Program,
    bounds: Bounds | None = None,
    *,
    host_biases: Mapping[str, tuple[Ints, Ints]] | None = None,
) -> Proof:
    """Prove that a program cannot overflow, by its weights or on calibrated spikes.

    Raises
    ------
    ProgramError
        It may; the message names the population, the neuron, its worst case and what would prevent it.
    """
    proof = prove(program, bounds, host_biases=host_biases)
    errors = [finding for finding in findings(proof, strict=True) if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ProgramError(f"{errors[0]}{more}")
    return proof


def _detail(p: PopulationProof, fault: Fault, bounds: Bounds | None) -> str:
    what = "the current may wrap" if fault.kind == "may wrap" else "the membrane may saturate"
    end = "24 bits end at"
    if p.readout and 0 <= fault.limit < STATE_LIMIT - 1:
        what, end = "the membrane of a read-out may reach its threshold and be cleared", "the threshold is"
    elif fault.kind == "may saturate" and 0 <= abs(fault.limit) < STATE_LIMIT - 1:
        what, end = "the value that a graded relay sends may saturate", "its payload ends at"
    many = f" ({fault.neurons} of {p.neurons} neurons)" if fault.neurons > 1 else ""
    detail = f"{what}: neuron {fault.neuron} may come to {fault.value:,}, {end} {fault.limit:,}{many}"
    if bounds is not None and p.observed_bits is not None:
        bits = p.observed_bits
        seen = (
            f"within 24 bits with {bits:.1f} bits to spare"
            if bits >= 0
            else f"{-bits:.1f} bits beyond 24 bits"
        )
        kept = ", even were the largest sum to arrive at every step" if p.sustained else ""
        detail += f"; on {bounds.samples} calibration samples {seen}{kept}"
    return detail


def _remedy(fault: Fault, bounds: Bounds | None) -> str:
    if fault.halvings is None:
        return "no scale prevents it; give the neurons fewer inputs, a faster decay or fewer time steps"
    factor = 1 << fault.halvings
    remedy = f"quantise with a scale {factor} times smaller"
    if fault.exponents:
        each = ", ".join(
            f"{name} {e + fault.halvings} -> {e}"
            if e >= WEIGHT_EXPONENT_MIN
            else f"{name}: {WEIGHT_EXPONENT_MIN - e} bits fewer at {WEIGHT_EXPONENT_MIN}"
            for name, e in fault.exponents.items()
        )
        remedy += f" (weight exponent {each})"
    return remedy if bounds is not None else f"{remedy}, or calibrate to see whether real spikes come near"
