"""The three answers, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .benchmarks.report import denoising_tables, pulse_tables, token_tables
from .benchmarks.report.checks import same_image
from .benchmarks.report.generation import Generation, SameImage
from .benchmarks.report.generation_tables import shorter
from .benchmarks.report.pulse import Pulse
from .benchmarks.report.schema import Answers, EnergyRow, Equivalence, Fit, Quality, Verdict
from .benchmarks.report.units import fixed, plural, share

#: Share of all samples by which a chip's right answers may be fewer than the float network's.
CLASSES_LIMIT = 0.01


def answers(
    quality: Quality,
    equivalence: Equivalence,
    fitted: Fit,
    energy: Mapping[str, EnergyRow],
    bits: int,
    generation: Generation | None = None,
) -> Answers:
    """Answer from the report's own figures; with a generation, for a generated image."""
    if generation is None:
        return Answers(same=_same(quality, equivalence, bits), fits=_fits(fitted), cost=_cost(energy))
    return Answers(
        same=_same_images(quality, equivalence, bits, generation),
        fits=_fits_together(fitted, generation),
        cost=_cost(energy, "A generated image costs "),
    )


def pulse_answers(
    pulse: Pulse, equivalence: Equivalence, fitted: Fit, energy: Mapping[str, EnergyRow], bits: int
) -> Answers:
    """Answer from the report's own figures, for a clip of video.

    The first answer also names every part of the network that is decorative: equal spikes prove nothing of use there.
    """
    same = _same_pulse(pulse, equivalence, bits)
    return Answers(
        same=Verdict(status=same.status, text=" ".join((same.text, *pulse_tables.contribution_notes(pulse)))),
        fits=_fits(fitted),
        cost=_cost(energy, "A clip costs "),
    )


def classifier_answers(
    correct: int, correct_float: int, samples: int, equivalence: Equivalence, fitted: Fit
) -> Answers:
    """Answer from the right answers of the integer program and the float network; there is no ANN to price."""
    return Answers(
        same=_same_classes(correct, correct_float, samples, equivalence),
        fits=_fits(fitted),
        cost=Verdict(
            status="unknown", text="No ANN twin was trained, so there is nothing to hold the cost against."
        ),
    )


def _same_classes(correct: int, correct_float: int, samples: int, e: Equivalence) -> Verdict:
    """Same spikes on Lava, and at most one answer in a hundred fewer that is right."""
    parted = _parted(e)
    if parted is not None:
        return parted
    figures = (
        f"the chip is right on {correct:,} of {samples:,} samples, the float network on {correct_float:,}"
    )
    if correct_float - correct > samples * CLASSES_LIMIT:
        return Verdict(
            status="no",
            text=f"{_sentence(figures)}, more than {share(CLASSES_LIMIT)} fewer{_first_below(e)}.",
        )
    if not e.lava.ran:
        return Verdict(
            status="unknown", text=f"{_sentence(figures)}; the Lava check did not run ({e.lava.reason})."
        )
    return Verdict(
        status="yes",
        text=f"Lava and the emulator agree on all {e.lava.neuron_steps:,} spikes and {e.lava.compared_states:,} states; {figures}.",
    )


def _same_pulse(pulse: Pulse, e: Equivalence, bits: int) -> Verdict:
    parted = _parted(e)
    if parted is not None:
        return parted
    chip, float_ = (pulse.row(name).by_video.mae for name in ("int8", "float"))
    gap = f"heart rates at {bits} bits err by {fixed(chip, 3)} bpm, the float network's by {fixed(float_, 3)} bpm"
    if pulse_tables.exceeds_limit(pulse):
        limit = f"{fixed(pulse.gap_bpm, 3, sign=True)} where {pulse.gap_limit_bpm:g} is the limit"
        return Verdict(status="no", text=f"{_sentence(gap)}, {limit}{_first_below(e)}.")
    return _agreed(e, gap)


def _same(quality: Quality, e: Equivalence, bits: int) -> Verdict:
    parted = _parted(e)
    if parted is not None:
        return parted
    gap = _gap(quality, bits)
    if not gap:
        return Verdict(status="unknown", text="The reconstruction error was not measured.")
    if not quality.within_one_percent:
        return _too_far(e, gap)
    return _agreed(e, f"the {gap}")


def _agreed(e: Equivalence, figures: str) -> Verdict:
    """The verdict where the figures are good and no check that ran found a difference."""
    for name, check in (("Lava", e.lava), ("norse", e.norse)):
        if not check.ran or not check.neuron_steps:
            why = "compared nothing" if check.ran else f"did not run ({check.reason})"
            return Verdict(status="unknown", text=f"{_sentence(figures)}; the {name} check {why}.")
    return Verdict(
        status="yes",
        text=(
            f"Lava and the emulator agree on all {e.lava.neuron_steps:,} spikes and {e.lava.compared_states:,} states; "
            f"norse and snnTorch on {e.norse.neuron_steps - e.norse.spike_mismatches:,} of {e.norse.neuron_steps:,}; {figures}."
        ),
    )


def _gap(quality: Quality, bits: int) -> str:
    """How reconstructions differ; empty where there are none."""
    if quality.gap_percent is None:
        return ""
    return f"reconstruction error at {bits} bits is {_moved(quality.gap_percent)} than the float network's"


def _moved(percent: float) -> str:
    return f"{abs(percent):.2f} % {'worse' if percent > 0 else 'better'}"


def _parted(e: Equivalence) -> Verdict | None:
    """A check that ran and did not agree."""
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
    return None


def _too_far(e: Equivalence, gap: str) -> Verdict:
    return Verdict(status="no", text=f"The {gap}, more than 1 %{_first_below(e)}.")


def _first_below(e: Equivalence) -> str:
    first = e.first_layer_below_99_percent
    return f"; spikes first part at {first} (below 99 % agreement)" if first else ""


def _same_images(quality: Quality, e: Equivalence, bits: int, made: Generation) -> Verdict:
    """Same images on every backend that made them, tokens or noise as well predicted, reconstructions as good."""
    found = [(same_image(row), row) for row in made.same_images]
    for check, row in found:
        if check.outcome == "differs":
            where = f" ({row.reason.strip()})" if row.reason.strip() else ""
            return Verdict(
                status="no",
                text=f"Generating the same images, the emulator and {check.name} differ in {row.differing_spikes:,} spikes{where}.",
            )
    parted = _parted(e)
    if parted is not None:
        return parted
    predicted, worse = _predicted(made, e, bits)
    if worse is not None:
        return worse
    gap = _gap(quality, bits)
    if gap and not quality.within_one_percent:
        return _too_far(e, gap)
    figures = f"{predicted}; the {gap}" if gap else predicted
    first = f"The {gap}; {predicted}" if gap else _sentence(predicted)
    equal = [(check, row) for check, row in found if check.outcome == "equal"]
    missing = "; ".join(f"{check.name} {check.words}" for check, _ in found if check.outcome != "equal")
    if not equal:
        why = missing or "none was generated a second time"
        return Verdict(status="unknown", text=f"No images were compared between backends ({why}); {figures}.")
    if not e.lava.ran and all(row.backend != "lava" for _, row in equal):
        return Verdict(
            status="unknown", text=f"{first}; Lava confirmed nothing ({missing or e.lava.reason})."
        )
    if not e.norse.ran:
        return Verdict(status="unknown", text=f"{first}; the norse check did not run ({e.norse.reason}).")
    agreed = " and ".join(
        f"{check.name} on {plural(row.images, 'image')}{_shorter(row, made)} ({row.neuron_steps:,} neuron steps)"
        for check, row in equal
    )
    besides = f" Not repeated as whole images: {missing}." if missing else ""
    return Verdict(status="yes", text=f"The emulator agrees with {agreed}; {figures}.{besides}")


def _shorter(row: SameImage, made: Generation) -> str:
    steps = shorter(row, made)
    return f" with {steps}" if steps else ""


def _predicted(made: Generation, e: Equivalence, bits: int) -> tuple[str, Verdict | None]:
    """How well the integer program predicts tokens or noise, and the verdict where that is beyond its limit."""
    tokens, noise = made.tokens, made.noise
    if tokens is not None:
        words = f"at {bits} bits the denoiser needs {tokens.elbo_int8:.4f} bits a token, the float network {tokens.elbo_float:.4f}"
        if not token_tables.exceeds_limit(tokens):
            return words, None
        gap = f"{token_tables.elbo_gap(tokens):+.4f} where {tokens.elbo_limit:g} is the limit"
        alike = f"the likeliest code is the same in {share(tokens.token_agreement)} of hidden positions"
        return words, Verdict(status="no", text=f"{_sentence(words)}, {gap}; {alike}.")
    assert noise is not None  # the schema demands one of the two
    words = f"at {bits} bits the error of the noise is {_moved(noise.gap_percent)} than the float network's"
    if not denoising_tables.exceeds_limit(noise):
        return words, None
    limit = f"where {noise.limit_percent:g} % is the limit"
    return words, Verdict(status="no", text=f"{_sentence(words)}, {limit}{_first_below(e)}.")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


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


def _fits_together(fitted: Fit, made: Generation) -> Verdict:
    """Whether all programs that a generated image needs fit side by side."""
    if any(finding.severity == "error" for finding in fitted.findings):
        return _fits(fitted)
    needed = [program for program in made.programs if program.runs]
    placed = [program.cores_placed for program in needed if program.cores_placed is not None]
    if not needed or len(placed) < len(needed):
        return _fits(fitted)
    cores, of = sum(placed), f"{fitted.cores_available:,} cores of {fitted.chip}"
    each = ", ".join(f"{program.name} {program.cores_placed:,}" for program in needed)
    if max(placed) > fitted.cores_available:
        return Verdict(status="no", text=f"A program alone needs more than the {of}: {each}.")
    if cores > fitted.cores_available:
        return Verdict(
            status="depends",
            text=f"Each program fits, but a generated image needs {cores:,} of {of} ({each}): load them in turn, or use more chips.",
        )
    return Verdict(
        status="yes",
        text=f"A generated image needs {cores:,} of {of} ({each}), most bound by {fitted.binding}.",
    )


def _cost(energy: Mapping[str, EnergyRow], subject: str = "") -> Verdict:
    if not energy:
        return Verdict(status="unknown", text="No energy model was applied.")
    rows = [f"{row.ratio:.2f} times the ANN by {row.title}" for row in energy.values()]
    cheaper = all(row.ratio < 1 for row in energy.values())
    dearer = all(row.ratio >= 1 for row in energy.values())
    status: Literal["yes", "no", "depends"] = "yes" if cheaper else "no" if dearer else "depends"
    said = {
        "yes": "less than the ANN by every model",
        "no": "more than the ANN by every model",
        "depends": "more or less than the ANN, depending on the model"
        if subject
        else "it depends on the model",
    }
    return Verdict(status=status, text=f"{_sentence(subject + said[status])}: {'; '.join(rows)}.")
