"""Energy models: data with sources, priced linearly, and consistent with themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.benchmarks.ann import MacCount
from spikewright.benchmarks.counting import CountTotals
from spikewright.benchmarks.energy import Activity, EnergyError, EnergyModel, load_model, load_models, price
from spikewright.benchmarks.energy.model import FOLDER
from spikewright.benchmarks.report.schema import EnergyRow
from spikewright.hardware.placement import Hops

MODELS = load_models()
SHIPPED = Path(FOLDER) / "cmos45.toml"
PJ = 1e-12

amounts = st.floats(0, 1e9, allow_subnormal=False)


@st.composite
def activities(draw: st.DrawFn) -> Activity:
    """Any activity, with or without the optional counts; rates and operations that floats can scale."""
    updates = draw(st.floats(1, 1e9))
    rate = draw(st.one_of(st.just(0.0), st.floats(1e-4, 1)))
    spikes = rate * updates
    return Activity(
        sops=spikes * draw(st.floats(0, 1000, allow_subnormal=False)),
        spikes=spikes,
        neuron_updates=updates,
        host_macs=draw(amounts),
        rate=rate,
        ann_macs=draw(st.floats(1, 1e9)),
        messages=draw(st.one_of(st.none(), st.just(spikes), st.just(3 * spikes))),
        active_updates=draw(st.one_of(st.none(), st.just(updates), st.just(updates / 3))),
        ann_activations=draw(amounts),
        hops_east_west=draw(st.one_of(st.none(), st.just(2 * spikes))),
        hops_north_south=draw(st.one_of(st.none(), st.just(spikes / 2))),
    )


models = st.sampled_from(list(MODELS.values()))


# Properties


@given(models, activities())
def test_parts_sum_to_the_total(model: EnergyModel, activity: Activity) -> None:
    energy = price(model, activity)
    assert sum(energy.parts.values()) == energy.snn_joule
    assert energy.host_joule == sum(energy.parts[p.name] for p in model.parts if p.place == "host")
    assert 0 <= energy.host_joule <= energy.snn_joule
    assert energy.ratio == energy.snn_joule / energy.ann_joule
    assert min(energy.parts.values()) >= 0


@given(models, activities(), st.floats(0, 1000, allow_subnormal=False))
def test_linear_in_synaptic_operations(model: EnergyModel, activity: Activity, factor: float) -> None:
    def chip(sops: float) -> float:
        return price(model, replace(activity, sops=sops)).snn_joule

    none, one = chip(0), chip(activity.sops)
    assert chip(activity.sops * factor) == pytest.approx(none + factor * (one - none), rel=1e-9)
    assert chip(activity.sops + 1) > one or activity.sops > 1e12


@given(models, activities())
def test_the_break_even_rate_reproduces_the_int8_ann(model: EnergyModel, activity: Activity) -> None:
    energy = price(model, activity)
    assert energy.ann_int8_joule is not None
    silent = price(model, activity.at_rate(0) if activity.rate else activity).snn_joule
    if energy.break_even_rate is None:
        assert silent > energy.ann_int8_joule or not activity.rate or not activity.sops
        return
    assert silent <= energy.ann_int8_joule * (1 + 1e-12)
    moved = price(model, activity.at_rate(energy.break_even_rate))
    assert moved.snn_joule == pytest.approx(energy.ann_int8_joule, rel=1e-9)
    assert moved.ann_int8_joule == energy.ann_int8_joule
    cheaper = energy.snn_joule < energy.ann_int8_joule
    assert cheaper == (activity.rate < energy.break_even_rate) or energy.snn_joule == pytest.approx(
        energy.ann_int8_joule
    )


@given(models, activities())
def test_silence_costs_the_host_and_the_updates(model: EnergyModel, activity: Activity) -> None:
    silent = price(
        model,
        replace(
            activity, sops=0, spikes=0, messages=None, rate=0, hops_east_west=None, hops_north_south=None
        ),
    )
    updates = sum(part for name, part in silent.parts.items() if "neuron updates" in name)
    assert silent.snn_joule == pytest.approx(silent.host_joule + updates, rel=1e-12)
    assert silent.break_even_rate is None
    assert any("nothing fired" in text for text in silent.assumptions)


@given(models, activities())
def test_more_of_anything_never_costs_less(model: EnergyModel, activity: Activity) -> None:
    for name in ("sops", "neuron_updates", "host_macs"):
        more = replace(activity, **{name: getattr(activity, name) * 2 + 1})
        assert price(model, more).snn_joule >= price(model, activity).snn_joule
        assert price(model, more).ann_joule == price(model, activity).ann_joule
    assert (
        price(model, replace(activity, ann_macs=activity.ann_macs * 2)).ann_joule
        > price(model, activity).ann_joule
    )


@given(models, activities())
def test_int8_is_cheaper_than_fp32(model: EnergyModel, activity: Activity) -> None:
    energy = price(model, activity)
    assert energy.ann_int8_joule is not None
    assert energy.ann_int8_joule < energy.ann_joule


@given(models, activities())
def test_the_report_takes_it(model: EnergyModel, activity: Activity) -> None:
    energy = price(model, activity)
    row = EnergyRow.model_validate(asdict(energy))
    assert row.parts == energy.parts
    assert row.sources == list(energy.sources)


# Figures


PROTOTYPE = Activity(
    sops=1.586e6, spikes=43e3, neuron_updates=16928 * 8, host_macs=17672, rate=0.32, ann_macs=607848,
    messages=43e3, active_updates=None, ann_activations=16928,
)  # fmt: skip


def test_the_papers_convention() -> None:
    """The prototype's published-style figures: 1.43 uJ of operations and 0.08 uJ of host against 2.80 uJ."""
    energy = price(MODELS["cmos45"], PROTOTYPE)
    assert energy.parts["synaptic operations"] == pytest.approx(1.586e6 * 0.9 * PJ)
    assert energy.host_joule == pytest.approx(17672 * 4.6 * PJ)
    assert energy.ann_joule == pytest.approx(607848 * 4.6 * PJ)
    assert energy.ann_int8_joule == pytest.approx(607848 * 0.23 * PJ)
    assert energy.ratio == pytest.approx(0.54, abs=0.005)
    assert energy.break_even_rate == pytest.approx(0.32 * (607848 * 0.23 - 17672 * 4.6) / (1.586e6 * 0.9))


def test_loihi() -> None:
    energy = price(MODELS["loihi1"], PROTOTYPE)
    assert energy.parts["synaptic operations"] == pytest.approx(1.586e6 * 23.6 * PJ)
    assert energy.parts["active neuron updates"] == pytest.approx(135424 * 81 * PJ)
    assert energy.parts["inactive neuron updates"] == 0
    assert energy.parts["spike messages"] == pytest.approx(43e3 * 1.7 * PJ)
    assert energy.break_even_rate is None
    assert any("priced as active" in text for text in energy.assumptions)
    half = price(MODELS["loihi1"], replace(PROTOTYPE, active_updates=135424 / 2))
    assert half.parts["active neuron updates"] == pytest.approx(135424 / 2 * 81 * PJ)
    assert half.parts["inactive neuron updates"] == pytest.approx(135424 / 2 * 52 * PJ)
    assert not any("priced as active" in text for text in half.assumptions)


def test_memory_traffic() -> None:
    energy = price(MODELS["memory"], PROTOTYPE)
    # A synaptic operation: one byte of 32 KB, eight of 8 KB; an update: 24 bytes of 8 KB.
    assert energy.parts["synaptic operations, memory"] == pytest.approx(1.586e6 * (2.5 + 8 * 1.25) * PJ)
    assert energy.parts["synaptic operations, arithmetic"] == pytest.approx(1.586e6 * 0.1 * PJ)
    assert energy.parts["neuron updates, memory"] == pytest.approx(135424 * 24 * 1.25 * PJ)
    assert energy.parts["neuron updates, arithmetic"] == pytest.approx(135424 * (2 * 3.1 + 4 * 0.1) * PJ)
    assert energy.ann_int8_joule == pytest.approx((607848 * (0.3 + 2.5 + 1.25) + 16928 * 1.25) * PJ)
    assert energy.ann_joule == pytest.approx((607848 * (4.6 + 10 + 5) + 16928 * 5) * PJ)
    assert energy.host_joule == pytest.approx(17672 * (4.6 + 10 + 5) * PJ)


def test_destinations_that_were_not_counted_are_said() -> None:
    energy = price(MODELS["loihi1"], replace(PROTOTYPE, messages=None))
    assert energy.parts["spike messages"] == pytest.approx(43e3 * 1.7 * PJ)
    assert any("one destination" in text for text in energy.assumptions)


def test_hops_are_priced_where_the_network_is_placed() -> None:
    placed = replace(PROTOTYPE, hops_east_west=70e3, hops_north_south=20e3)
    energy, unplaced = price(MODELS["loihi1"], placed), price(MODELS["loihi1"], PROTOTYPE)
    assert energy.parts["hops east and west"] == pytest.approx(70e3 * 3.0 * PJ)
    assert energy.parts["hops north and south"] == pytest.approx(20e3 * 4.0 * PJ)
    assert unplaced.parts["hops east and west"] == unplaced.parts["hops north and south"] == 0
    assert energy.snn_joule - unplaced.snn_joule == pytest.approx(290e3 * PJ)
    assert any("nothing is placed" in text for text in unplaced.assumptions)
    assert any("Hops are an estimate" in text for text in energy.assumptions)
    assert placed.at_rate(0.16).hops_east_west == 35e3
    for name in ("cmos45", "memory"):
        assert price(MODELS[name], placed).snn_joule == price(MODELS[name], PROTOTYPE).snn_joule


def test_activity_of_a_placement() -> None:
    counts = CountTotals(10, 20, 30, 4.0, 50.0, 0.1, 40, 25.0, None, 6.0)
    ann = MacCount("ann", 80, 90, 100, (), {})
    activity = Activity.of(counts, 7, ann, Hops(9.0, 5.0, 3.0, 1.0))
    assert (activity.messages, activity.hops_east_west, activity.hops_north_south) == (9.0, 5.0, 3.0)


def test_a_rate_beyond_one_is_explained() -> None:
    cheap = replace(PROTOTYPE, sops=1000)
    energy = price(MODELS["cmos45"], cheap)
    assert energy.break_even_rate is not None
    assert energy.break_even_rate > 1
    assert any("costs less at any rate" in text for text in energy.assumptions)


def test_every_model_states_sources_and_assumptions() -> None:
    assert list(MODELS) == ["cmos45", "loihi1", "memory"]
    for name, model in MODELS.items():
        assert model.name == name
        assert model.sources
        assert all(text.endswith(".") for text in model.assumptions)
        assert any("tatic power" in text for text in model.assumptions)
        for figure in model.figures.values():
            assert figure.checked != ("from memory" in figure.source or "has 4.2" in figure.source)


def test_sources_name_figures_and_what_was_not_checked() -> None:
    sources = MODELS["memory"].sources
    assert any("sram 32 KB 2.5 pJ/byte (not re-checked)" in text for text in sources)
    assert any("int32 add 0.1 pJ" in text and "not re-checked" not in text for text in sources)
    assert not any("sram 1 MB" in text for text in sources)  # nothing is priced with it


# Activity


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sops": -1}, "sops = -1"),
        ({"sops": float("nan")}, "sops = nan"),
        ({"host_macs": float("inf")}, "host_macs = inf"),
        ({"ann_macs": 0}, "ann_macs = 0, there is no ANN"),
        ({"active_updates": 1e9}, "active updates of"),
    ],
)
def test_a_senseless_activity_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PROTOTYPE, **fields)


def test_silence_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="no spikes to scale"):
        replace(PROTOTYPE, rate=0).at_rate(0.1)


def test_activity_of_counts() -> None:
    counts = CountTotals(10, 20, 30, 4.0, 50.0, 0.1, 40, 25.0, None, 6.0)
    activity = Activity.of(counts, host_macs=7, ann=MacCount("ann", 80, 90, 100, (), {}))
    assert activity == Activity(50.0, 4.0, 40, 7, 0.1, 80, 6.0, 25.0, 100)
    assert activity.amount("inactive_updates") == 15


# Files


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("value = 0.9", "value = -0.9"), r"figures\.fp32_add\.value = -0\.9: .*greater than 0"),
        (lambda text: text.replace("value = 0.9", "value = nan"), r"figures\.fp32_add\.value = nan"),
        (lambda text: text.replace('unit = "pJ"', 'unit = "J"', 1), r"figures\.fp32_add\.unit = 'J', allowed are pJ and pJ/byte"),
        (lambda text: text.replace("{ fp32_add = 1 }", "{ fp64_add = 1 }"), "cost of sops names 'fp64_add'; figures: fp32_add,"),
        (lambda text: text.replace('per = "sops"', 'per = "flops"'), r"parts\.0\.per = 'flops': .*'sops'"),
        (lambda text: text.replace('place = "chip"', 'place = "moon"'), r"parts\.0\.place = 'moon': .*'chip' or 'host'"),
        (lambda text: text.replace('name = "host"', 'name = "synaptic operations"'), "two parts share a name"),
        (lambda text: text.replace("checked = true", "", 1), r"figures\.fp32_add\.checked is missing"),
        (lambda text: text.replace("[[ann_fp32]]", "[[ann_fp16]]"), "ann_fp32 is missing"),
        (lambda text: text + "[[", "not a readable TOML file"),
    ],
)  # fmt: skip
def test_a_faulty_model_names_file_field_and_what_is_allowed(
    tmp_path: Path, edit: Callable[[str], str], message: str
) -> None:
    path, text = tmp_path / "faulty.toml", SHIPPED.read_text()
    assert edit(text) != text
    path.write_text(edit(text))
    with pytest.raises(EnergyError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(
        EnergyError, match="energy model 'tpu' is unknown; known: cmos45, loihi1, memory, or the path"
    ):
        load_model("tpu")


def test_a_model_without_int8_prices_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.read_text().split("[[ann_int8]]")[0])
    energy = price(load_model(path), PROTOTYPE)
    assert energy.ann_int8_joule is None
    assert energy.break_even_rate is None
