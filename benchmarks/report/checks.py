"""The equivalence checks in words: one place decides what may be called equal.

A check that did not run, or that ran and compared nothing, is never equal, whatever its other fields say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .generation import SameImage
from .schema import BackendCheck, FirstDifference, NorseCheck, Report
from .units import count, plain, seconds

Outcome = Literal["equal", "rounding", "differs", "no verdict", "not run"]
MARKS: dict[Outcome, str] = {"equal": "✓", "rounding": "≈", "differs": "✗", "no verdict": "?", "not run": "○"}


@dataclass(frozen=True)
class Check:
    """One equivalence check, ready to show.

    Attributes
    ----------
    name, compares : str
        The other party, and what is held against what.
    outcome : Outcome
        ``rounding``: the two part only where a membrane lies within float rounding of its threshold.
    words : str
        The outcome in words; says why where there is no verdict.
    facts : list of tuple of str
        Label and value of each count; empty when nothing ran.
    """

    name: str
    compares: str
    outcome: Outcome
    words: str
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """Mark and words."""
        return f"{MARKS[self.outcome]} {self.words}"


def checks(report: Report) -> list[Check]:
    """Put the three checks in words, in the order of lowering."""
    found, samples = report.equivalence, report.samples
    return [
        norse_check(found.norse, samples.norse),
        backend_check(
            found.reference, samples.reference, "Reference", "integer program: emulator against reference"
        ),
        backend_check(found.lava, samples.lava, "Lava", "integer program: emulator against Intel's Lava"),
    ]


def where(first: FirstDifference) -> str:
    """Where two runs first part, as a sentence without its full stop."""
    step = "at read-out" if first.timestep < 0 else f"time step {first.timestep}"
    return (
        f"{first.quantity} of {first.population}, sample {first.sample}, {step}, neuron {first.neuron}: "
        f"{first.left} against {first.right}"
    )


def _not_run(name: str, compares: str, reason: str) -> Check:
    return Check(name, compares, "not run", f"did not run: {reason.strip() or 'no reason was recorded'}")


def norse_check(check: NorseCheck, samples: int) -> Check:
    """Put in words whether norse spikes as snnTorch does."""
    name, compares = "norse", "float network: norse against snnTorch"
    if not check.ran:
        return _not_run(name, compares, check.reason)
    unexplained = max(check.spike_mismatches - check.explained_by_rounding, 0)
    facts = [
        ("Samples", count(samples)),
        ("Neuron steps compared", count(check.neuron_steps)),
        ("Differing spikes", count(check.spike_mismatches)),
        ("of them within float rounding of a threshold", count(check.explained_by_rounding)),
        ("Smallest distance from a threshold", plain(check.smallest_margin)),
        ("Largest distance at a difference", plain(check.largest_margin_at_mismatch)),
        ("Largest read-out error", plain(check.readout_max_error)),
    ]
    if not check.spike_mismatches:
        facts = [fact for fact in facts if not fact[0].startswith(("of them", "Largest distance"))]
    if unexplained:
        return Check(name, compares, "differs", f"differs in {count(unexplained)} unexplained spikes", facts)
    if not check.neuron_steps:
        return Check(name, compares, "no verdict", "no verdict: it ran but compared nothing", facts)
    if check.spike_mismatches:
        return Check(name, compares, "rounding", "equal but for float rounding at the threshold", facts)
    return Check(name, compares, "equal", "equal: no spike differs", facts)


def backend_check(check: BackendCheck, samples: int, name: str, compares: str) -> Check:
    """Put in words whether another backend gives what the emulator gives."""
    if not check.ran:
        return _not_run(name, compares, check.reason)
    facts = [
        ("Samples", count(samples)),
        ("Neuron steps compared", count(check.neuron_steps)),
        ("Differing spikes", count(check.differing_spikes)),
        ("States compared", count(check.compared_states)),
        ("Differing states", count(check.differing_states)),
        ("First difference", "none" if check.first is None else where(check.first)),
        ("Time", seconds(check.seconds)),
    ]
    if check.equal is False or check.differing_spikes or check.differing_states or check.first is not None:
        spikes, states = count(check.differing_spikes), count(check.differing_states)
        return Check(name, compares, "differs", f"differs in {spikes} spikes and {states} states", facts)
    if not check.neuron_steps:
        return Check(name, compares, "no verdict", "no verdict: it ran but compared nothing", facts)
    if check.equal is None:
        return Check(name, compares, "no verdict", "no verdict: it ran but none was recorded", facts)
    states = "and no state differs" if check.compared_states else "differs; states were not compared"
    return Check(name, compares, "equal", f"equal: no spike {states}", facts)


def same_image(check: SameImage) -> Check:
    """Put in words whether another backend generated the same images."""
    name = {"lava": "Lava", "reference": "Reference"}.get(check.backend, check.backend)
    compares = "generated images: emulator against the same draws elsewhere"
    reason = check.reason.strip()
    if check.equal is None and not check.neuron_steps:
        return _not_run(name, compares, reason)
    if check.equal is False or check.differing_spikes:
        where = f": {reason}" if reason else ""
        return Check(name, compares, "differs", f"differs in {count(check.differing_spikes)} spikes{where}")
    if not check.neuron_steps or not check.images:
        return Check(name, compares, "no verdict", "no verdict: it ran but compared nothing")
    if check.equal is None:
        return Check(name, compares, "no verdict", "no verdict: it ran but none was recorded")
    plural = "" if check.images == 1 else "s"
    return Check(name, compares, "equal", f"equal: the same image{plural}, spike for spike")
