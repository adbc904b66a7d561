"""Pictures of pulse waves and heart rates: what stands in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikewright.benchmarks.report import figures
from spikewright.benchmarks.report.captions import PULSE_CAPTIONS

from .pulse_reports import FPS, make_pulse_report, pulse_pictures, wave


def test_a_pulse_report_has_its_pictures_only() -> None:
    drawings = figures.draw(make_pulse_report(), pulse_pictures())
    assert {name: drawing.caption for name, drawing in drawings.items()} == PULSE_CAPTIONS
    for drawing in drawings.values():
        assert drawing.png.startswith(b"\x89PNG")


def test_waves_are_standardised_above_their_reference() -> None:
    waves = pulse_pictures().waves
    figure = figures.pulse_waves(waves, FPS, 6)
    assert len(figure.axes) == 3
    for axes, key in zip(figure.axes, ("float", "int8", "ann"), strict=True):
        reference, predicted = (np.asarray(line.get_ydata()) for line in axes.lines)
        assert np.corrcoef(reference, waves["reference"])[0, 1] == pytest.approx(1)
        assert np.corrcoef(predicted, waves[key])[0, 1] == pytest.approx(1)
        for drawn in (reference, predicted):
            assert (drawn.mean(), drawn.std()) == pytest.approx((0, 1), abs=1e-9)
        likeness = np.corrcoef(waves[key], waves["reference"])[0, 1]
        assert f"correlation {likeness:.3f}" in axes.get_title("left")
        seconds = np.asarray(axes.lines[0].get_xdata())
        assert seconds[30] == pytest.approx(1.0)
    assert figure.axes[1].get_title("left").startswith("chip (int6)")


def test_long_waves_are_cut_and_flat_ones_drawn_flat() -> None:
    figure = figures.pulse_waves({"reference": wave(32, 0.0, 1), "int8": np.full(960, 7.0)}, FPS)
    assert "first 12 of 32 s" in figure.texts[0].get_text()
    (axes,) = figure.axes
    reference, flat = axes.lines
    assert len(np.asarray(reference.get_ydata())) == 360
    assert not np.asarray(flat.get_ydata()).any()
    assert "correlation 0.000" in axes.get_title("left")


def test_heart_rates_are_points_on_equal_axes() -> None:
    rates = pulse_pictures().heart_rates
    figure = figures.heart_rates(rates)
    assert [axes.get_title("left") for axes in figure.axes] == ["chip (int8)", "POS"]
    for axes, key in zip(figure.axes, ("int8", "POS"), strict=True):
        points = axes.lines[-1]
        assert np.array_equal(np.asarray(points.get_xdata()), rates["reference"])
        assert np.array_equal(np.asarray(points.get_ydata()), rates[key])
        assert axes.get_xlim() == axes.get_ylim() == figure.axes[0].get_xlim()
        low, high = axes.get_xlim()
        assert low < min(map(np.min, rates.values()))
        assert high > max(map(np.max, rates.values()))
    assert figure.texts[0].get_text() == "Heart rates of 40 test videos"


TEN = np.arange(10.0)


@pytest.mark.parametrize(
    "waves", [{}, {"reference": TEN}, {"int8": TEN}, {"reference": TEN, "int8": TEN[:5]}, {"reference": TEN[:0], "int8": TEN[:0]}]
)  # fmt: skip
def test_nothing_to_draw_is_refused(waves: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give a reference"):
        figures.pulse_waves(waves, FPS)
    with pytest.raises(ValueError, match="give a reference"):
        figures.heart_rates(waves)
    with pytest.raises(ValueError, match="at 0 a second"):
        figures.pulse_waves({"reference": TEN, "int8": TEN}, 0)
