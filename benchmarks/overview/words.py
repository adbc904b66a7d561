"""Who takes less energy at which quality, in words: one place decides what may be called a win."""

from __future__ import annotations

from collections.abc import Sequence

from ..report.units import fixed, plural, rate, significant
from .schema import EQUAL_QUALITY, EnergyFigure, Entry, Headline, QualityFigure, Summary, Winner


def energy(title: str, fp32: float, int8: float | None, fires: float, even: float | None) -> str:
    """One energy model's comparison in a sentence or two."""
    said = f"By {title}, the SNN takes {times(fp32)} its fp32 twin's energy"
    if int8 is None:
        return f"{said}; the model prices no int8 twin."
    said = f"{said} and {times(int8)} its int8 twin's."
    if even is None:
        return f"{said} No spike rate is low enough to break even with int8."
    if fires <= even:
        return f"{said} It fires {rate(fires)} spikes a neuron and step and breaks even at {rate(even)}."
    return (
        f"{said} It fires {rate(fires)} spikes a neuron and step and would have to fire {rate(even)} to break even "
        f"with int8, {significant(fires / even, '.3g')} times less."
    )


def times(ratio: float) -> str:
    """A ratio of energies."""
    return f"{significant(ratio, '.3g')} times"


def equal_quality(quality: QualityFigure) -> bool | None:
    """Whether the chip is as good as its twin; None without a twin."""
    if quality.chip is None or quality.ann is None:
        return None
    if quality.lower_is_better:
        return quality.chip <= EQUAL_QUALITY * quality.ann
    return quality.ann <= EQUAL_QUALITY * quality.chip


def headline(figures: Sequence[EnergyFigure], quality: Sequence[QualityFigure]) -> Headline:
    """Energy against the int8 twin at the quality of both."""
    ratios = [row.ratio_int8 for row in figures if row.ratio_int8 is not None]
    equal = equal_quality(quality[0]) if quality else None
    if not ratios or equal is None:
        return Headline(wins="unknown", words="There is no ANN twin to hold energy and quality against.")
    won = sum(ratio < 1 for ratio in ratios)
    wins: Winner = "no" if not won else "yes" if won == len(ratios) and equal else "depends"
    span = f"{significant(min(ratios), '.3g')} to {significant(max(ratios), '.3g')} times"
    who = {
        "no": f"The SNN does not win: it takes {span} the energy of its int8 twin, more by every energy model",
        "yes": f"The SNN wins: it takes {span} the energy of its int8 twin, less by every energy model",
        "depends": (
            f"The SNN takes {span} the energy of its int8 twin, less by {won} of {len(ratios)} energy models"
        ),
    }[wins]
    return Headline(wins=wins, words=f"{who}; {_at_quality(quality[0], equal, wins)}.")


def _at_quality(quality: QualityFigure, equal: bool, wins: Winner) -> str:
    assert quality.chip is not None
    assert quality.ann is not None
    unit = f" {quality.unit}" if quality.unit else ""
    figures = f"{quality.name} {significant(quality.chip)}{unit}, the twin's {significant(quality.ann)}{unit}"
    if equal:
        return f"it is as good or better ({figures})"
    besides = (
        "and it is worse as well"
        if wins == "no"
        else "but it is worse, so that this is no win at equal quality"
    )
    percent = quality.chip_to_ann_percent
    by = "" if percent is None else f", {fixed(percent, 1, sign=True)} %"
    return f"{besides} ({figures}{by})"


def summary(entries: Sequence[Entry]) -> Summary:
    """All models counted, and what comes of it."""
    results = [entry.result for entry in entries if entry.result is not None]
    counts = {
        status: sum(entry.status == status for entry in entries)
        for status in ("done", "failed", "no weights", "not run")
    }
    judged = [result.headline.wins for result in results]
    twins = [wins for wins in judged if wins != "unknown"]
    won, depends = twins.count("yes"), twins.count("depends")
    return Summary(
        models=len(entries),
        done=counts["done"],
        failed=counts["failed"],
        no_weights=counts["no weights"],
        not_run=counts["not run"],
        same=sum(result.answers.same.status == "yes" for result in results),
        fits=sum(result.answers.fits.status == "yes" for result in results),
        cheaper=sum(result.answers.cost.status == "yes" for result in results),
        with_twin=len(twins),
        wins=won,
        wins_depend=depends,
        words=_summary_words(won, depends, len(twins)),
    )


def _summary_words(won: int, depends: int, twins: int) -> str:
    if not twins:
        return "No model with an ANN twin was measured: nothing can be said of energy at equal quality."
    models = f"{plural(twins, 'model')} with a twin"
    if not won and not depends:
        return f"Energy at equal quality: the SNN does not win. Of {models}, none takes less energy than its int8 twin by any energy model."
    said = f"Energy at equal quality: of {models}, {won} win{'s' if won == 1 else ''} against the int8 twin by every energy model"
    if depends:
        said += f"; {depends} by some energy models only, or at lower quality"
    return f"{said}; {twins - won - depends} do{'es' if twins - won - depends == 1 else ''} not win."
