"""What single figures and single layers do to a verdict on energy; models of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.benchmarks.counting import LayerCount
from spikewright.benchmarks.energy import EnergyError, layer_break_even, load_models, price, swings
from spikewright.benchmarks.energy.model import FOLDER

from .test_energy import PROTOTYPE, activities

MODELS = load_models()
LAYER = LayerCount("hidden", (5, 7), 35, 700, 90, 40.0, 900.0, 0.3, 140, 60.0, 1, 0, 80.0)


@given(st.sampled_from(list(MODELS)), activities())
def test_a_figure_moves_the_ratio_between_its_halves_and_doubles(name: str, activity) -> None:  # type: ignore[no-untyped-def]
    model = MODELS[name]
    energy = price(model, activity)
    now = energy.snn_joule / (energy.ann_int8_joule or energy.ann_joule)
    found = swings(model, activity)
    spans = [abs(swing.larger - swing.smaller) for swing in found]
    assert spans == sorted(spans, reverse=True)
    for swing in found:
        # Linear over linear in every figure, hence monotonous: today's ratio lies between.
        assert min(swing.smaller, swing.larger) <= now * (1 + 1e-9)
        assert max(swing.smaller, swing.larger) >= now * (1 - 1e-9)


def test_a_figure_on_one_side_alone_halves_and_doubles_the_ratio() -> None:
    activity = replace(PROTOTYPE, host_macs=0.0, graded_sops=0.0)
    energy = price(MODELS["cmos45"], activity)
    assert energy.ann_int8_joule is not None
    (swing,) = (s for s in swings(MODELS["cmos45"], activity) if s.figure.startswith("fp32 add"))
    now = energy.snn_joule / energy.ann_int8_joule
    assert (swing.smaller, swing.larger) == (pytest.approx(now / 2), pytest.approx(2 * now))
    assert not any(s.figure.startswith("fp32 multiply") for s in swings(MODELS["cmos45"], activity))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("runs", [1.0, 3.5])
def test_a_layer_at_break_even_costs_what_its_multiplications_do(name: str, runs: float) -> None:
    model = MODELS[name]
    found = layer_break_even(LAYER, runs, {name: model})
    assert found is not None
    arriving, even = found
    assert arriving == pytest.approx(900 / (700 * runs))
    if even[name] is None:
        return
    factor = even[name] / arriving
    scaled = {key: getattr(LAYER, key) * factor for key in ("sops", "spikes", "messages")}
    # The driven part scales with the spikes, the updates stay.
    again = layer_break_even(replace(LAYER, **scaled), runs, {name: model})
    assert again is not None
    assert again[0] == pytest.approx(even[name])
    assert again[1][name] == pytest.approx(even[name])


def test_layers_without_synapses_or_spikes_have_none() -> None:
    assert layer_break_even(replace(LAYER, synapses=0), 1.0, MODELS) is None
    silent = layer_break_even(replace(LAYER, spikes=0.0, sops=0.0, messages=0.0), 1.0, MODELS)
    assert silent == (0.0, dict.fromkeys(MODELS))


def test_a_model_of_ones_own_is_added_or_takes_anothers_place(tmp_path: Path) -> None:
    text = (Path(FOLDER) / "cmos45.toml").read_text()
    own, other = tmp_path / "dearer.toml", tmp_path / "lab.toml"
    own.write_text(text.replace("value = 0.9\n", "value = 1.8\n", 1))
    other.write_text(text.replace('name = "cmos45"', 'name = "lab"', 1))
    models = load_models([own, other])
    assert set(models) == {*MODELS, "lab"}
    assert models["cmos45"].figures["fp32_add"].value == 1.8
    assert models["lab"].figures == MODELS["cmos45"].figures
    with pytest.raises(EnergyError, match=r"nowhere\.toml"):
        load_models([tmp_path / "nowhere.toml"])
