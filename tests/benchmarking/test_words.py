"""What may be called a win."""

from __future__ import annotations

from typing import Any

import pytest

from spikewright.benchmarks.overview.result import energy_figure, quality_figure, result_of
from spikewright.benchmarks.overview.schema import EnergyFigure, QualityFigure
from spikewright.benchmarks.overview.words import equal_quality, headline, summary
from spikewright.benchmarks.report.schema import EnergyRow

from ..benchmarks.generation_reports import make_denoising_report, make_generation_report
from ..benchmarks.pulse_reports import make_pulse_report
from ..benchmarks.reports import energy_row, make_report
from .overviews import entry


def row(ratio: float | None, *, even: float | None = None, rate: float = 0.1) -> EnergyFigure:
    """An energy model by which the SNN takes so many times what the int8 twin does."""
    snn, int8 = 3e-6, None if ratio is None else 3e-6 / ratio
    return energy_figure(
        "m", EnergyRow.model_validate(energy_row("a model", snn, 0.0, 9e-6, int8, even)), rate, None
    )


def errors(chip: float | None, ann: float | None, **changes: Any) -> list[QualityFigure]:
    return [quality_figure("error", {"float": 1.0, "int8": chip, "ann": ann}, 100, **changes)]


@pytest.mark.parametrize(
    ("ratios", "quality", "wins", "said"),
    [
        ((0.5, 0.9), errors(1.0, 1.0), "yes", "The SNN wins: it takes 0.5 to 0.9 times"),
        ((0.5, 0.9), errors(1.0, 1.2), "yes", "as good or better"),
        ((0.5, 0.9), errors(1.2, 1.0), "depends", "no win at equal quality (error 1.2, the twin's 1, +20.0 %)"),
        ((0.5, 2.0), errors(1.0, 1.0), "depends", "less by 1 of 2 energy models"),
        ((1.0, 2.0), errors(1.0, 1.0), "no", "The SNN does not win"),
        ((2.0, 30.0), errors(1.2, 1.0), "no", "and it is worse as well"),
        ((None, 0.5), errors(1.0, 1.0), "yes", "0.5 to 0.5 times"),
        ((None, None), errors(1.0, 1.0), "unknown", "no ANN twin"),
        ((0.5,), errors(1.0, None), "unknown", "no ANN twin"),
        ((0.5,), [], "unknown", "no ANN twin"),
    ],
)  # fmt: skip
def test_a_win_is_less_energy_at_equal_quality(
    ratios: tuple[float | None, ...], quality: list[QualityFigure], wins: str, said: str
) -> None:
    found = headline([row(ratio) for ratio in ratios], quality)
    assert found.wins == wins
    assert said in found.words


def test_where_more_is_better_less_is_not_equal() -> None:
    assert equal_quality(errors(0.9, 0.9, lower_is_better=False)[0])
    assert not equal_quality(errors(0.8, 0.9, lower_is_better=False)[0])
    assert equal_quality(errors(0.9, 0.8, lower_is_better=False)[0])


def test_how_far_from_break_even_is_said() -> None:
    far = row(2.0, even=0.05, rate=0.1)
    assert far.break_even_factor == pytest.approx(2.0)
    assert "2 times less" in far.words
    assert "No spike rate is low enough" in row(2.0, even=None).words
    assert "breaks even at 0.200" in row(0.5, even=0.2).words
    assert "prices no int8 twin" in row(None).words


@pytest.mark.parametrize(
    ("report", "first", "versions"),
    [
        (make_report(), "reconstruction error", 2),
        (make_generation_report(), "Frechet distance of samples, classifier's features", 3),
        (make_denoising_report(), "error of the predicted noise", 3),
        (make_pulse_report(), "heart rate, mean absolute error by video", 2),
    ],
    ids=["one program", "tokens", "noise", "pulse"],
)
def test_every_kind_of_report_gives_its_figures(report: Any, first: str, versions: int) -> None:
    found = result_of(report, budget=[], commands=[], pictures=[], page=None)
    assert found.quality[0].name == first
    assert len(found.quality) == versions
    for figure in found.energy:
        source = report.energy[figure.model]
        assert figure.snn_joule == source.snn_joule
        if source.ann_int8_joule:
            assert figure.ratio_int8 == source.snn_joule / source.ann_int8_joule
    assert found.activity.sops == report.totals.sops
    assert [check.name for check in found.checks][:3] == ["norse", "Reference", "Lava"]


def test_the_summary_counts_what_it_names() -> None:
    report = make_report()
    done = result_of(report, budget=[], commands=[], pictures=[], page=None)
    entries = [
        entry(1, "a", seconds=1.0, cpu_seconds=1.0, result=done),
        entry(2, "b", "failed", words="why"),
        entry(3, "c", "no weights", words="why"),
        entry(4, "d", "not run", words="why"),
    ]
    found = summary(entries)
    assert (found.models, found.done, found.failed, found.no_weights, found.not_run) == (4, 1, 1, 1, 1)
    assert found.with_twin == 1
    assert found.wins + found.wins_depend == (done.headline.wins != "no")
    assert "nothing can be said" in summary(entries[1:]).words
    losing = done.model_copy(update={"headline": done.headline.model_copy(update={"wins": "no"})})
    assert "does not win" in summary([entry(1, "a", seconds=1.0, cpu_seconds=1.0, result=losing)]).words
