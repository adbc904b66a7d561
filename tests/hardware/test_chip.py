"""Chips are data with sources, and every limit is a rule that names what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense, LinearMap
from spikewright.export.unroll import unroll
from spikewright.hardware import fit as rules
from spikewright.hardware.chip import FOLDER, Chip, ChipError, chips, load_chip
from spikewright.hardware.fit import MEMORY, NEURONS, fit
from spikewright.hardware.program import Inputs, Population, Program, SpikeSource, SynapseGroup, validate
from tests.programs import programs

SHIPPED = Path(FOLDER) / "loihi1.toml"


def chain(*maps: LinearMap, timesteps: int = 8, thresholds: np.ndarray | None = None) -> Program:
    """A source and one population a map."""
    populations, synapses, before = [], [], "in"
    for index, map_ in enumerate(maps):
        name, size = f"p{index}", prod(map_.output_shape)
        threshold = np.full(size, 100) if thresholds is None else thresholds
        zeros = np.zeros(size, np.int64)
        populations.append(
            Population(name, map_.output_shape, 4095, 3072, threshold, zeros, zeros, np.ones(size), index + 1)
        )
        synapses.append(SynapseGroup(f"{before}-{name}", before, name, map_, 0))
        before = name
    source = SpikeSource("in", maps[0].input_shape)
    program = Program("chain", timesteps, timesteps, (source,), tuple(populations), tuple(synapses))
    validate(program)
    return program


def dense(inputs: int, outputs: int, weight: int = 100) -> Dense:
    return Dense(np.full((outputs, inputs), weight, np.int8), (inputs,), (outputs,))


def changed(chip: Chip, **values: object) -> Chip:
    """A chip with other values of some figures."""
    return chip.model_copy(
        update={
            name: getattr(chip, name).model_copy(update={"value": value}) for name, value in values.items()
        }
    )


def altered(program: Program, **fields: Any) -> Program:
    """A program whose first population differs."""
    return replace(program, populations=(replace(program.populations[0], **fields), *program.populations[1:]))


@pytest.fixture
def loihi1() -> Chip:
    return load_chip("loihi1")


@pytest.fixture
def loihi2() -> Chip:
    return load_chip("loihi2")


def rules_broken(program: Program, chip: Chip) -> set[tuple[str, str]]:
    return {(finding.node, finding.rule) for finding in fit(program, chip).findings}


# Descriptions


def test_shipped_chips_load_and_name_a_source_for_every_figure() -> None:
    assert chips() == ["loihi1", "loihi2"]
    for name in chips():
        chip = load_chip(name)
        assert chip.name == name
        for field in Chip.model_fields.keys() - {"name", "title", "notes"}:
            figure = getattr(chip, field)
            assert figure is None or (figure.source and figure.unit)


def test_unsupported_figures_are_not_called_checked() -> None:
    for name in chips():
        for field in Chip.model_fields.keys() - {"name", "title", "notes"}:
            figure = getattr(load_chip(name), field)
            if figure is not None and any(
                word in figure.source for word in ("assumed", "derived", "from memory")
            ):
                assert not figure.checked, (name, field)


def test_the_chips_differ_where_it_matters(loihi1: Chip, loihi2: Chip) -> None:
    assert (loihi1.neurons_per_core.value, loihi2.neurons_per_core.value) == (1024, 8192)
    assert loihi1.synapse_words_per_core.value * loihi1.synapse_word_bits.value == 128 * 1024 * 8
    assert (loihi1.per_neuron_threshold.value, loihi2.per_neuron_threshold.value) == (False, True)
    assert (loihi1.reset_interval_power_of_two.value, loihi2.reset_interval_power_of_two.value) == (
        False,
        True,
    )


def test_a_chip_is_frozen(loihi1: Chip) -> None:
    with pytest.raises(ValidationError):
        loihi1.title = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        loihi1.cores.value = 1


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SHIPPED.read_text().replace('name = "loihi1"', 'name = "mine"'))
    assert load_chip(path).name == load_chip(str(path)).name == "mine"


@pytest.mark.parametrize("name", ["loihi3", "", "no/such/file.toml", Path("nowhere.toml"), "."])
def test_an_unknown_chip_lists_the_known_ones(name: str | Path) -> None:
    with pytest.raises(ChipError, match=r"loihi1, loihi2, or the path of a \.toml file"):
        load_chip(name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("[cores]\nvalue = 128", "[cores]\nvalue = -128"), r"cores\.value = -128: .*greater than 0"),
        (lambda text: text.replace("[cores]\nvalue = 128", '[cores]\nvalue = "many"'), r"cores\.value = 'many': .*valid int"),
        (lambda text: text.replace("[cores]\nvalue = 128", "[cores]\nvalue = 1.5"), r"cores\.value = 1\.5: .*integer"),
        (lambda text: text.replace("[cores]\nvalue = 128", "[cores]\nvalue = true"), r"cores\.value = True"),
        (lambda text: text.replace("[cores]", "[kores]"), r"cores is missing; add it \(and 1 more\)"),
        (lambda text: text + "\n[colour]\nvalue = 1\n", r"colour = .* is no field; known: name, title, notes, cores"),
        (lambda text: text.replace('unit = "cores"', 'unit = "cores"\nyear = 2018'), r"cores\.year = 2018 is no field; known: value"),
        (lambda text: text.replace('unit = "cores"\n', ""), r"cores\.unit is missing"),
        (lambda text: text.replace('unit = "cores"', 'unit = ""'), r"cores\.unit = '': .*at least 1"),
        (lambda text: text.replace("[1, 2, 3, 4, 5, 6, 8]", "[]"), r"weight_bits\.value = \[\]"),
        (lambda text: text.replace("[1, 2, 3, 4, 5, 6, 8]", "[0]"), r"weight_bits\.value\.0 = 0"),
        (lambda text: text.replace("value = false", "value = 0", 1), r"per_neuron_threshold\.value = 0: .*boolean"),
        (lambda text: _without(text, "threshold_configurations"), "threshold_configurations is missing; neurons without"),
        (lambda text: text.replace('name = "loihi1"', "name = "), "not a readable TOML file"),
    ],
)  # fmt: skip
def test_a_faulty_description_names_file_field_and_remedy(
    tmp_path: Path, edit: Callable[[str], str], message: str
) -> None:
    path, text = tmp_path / "faulty.toml", SHIPPED.read_text()
    assert edit(text) != text
    path.write_text(edit(text))
    with pytest.raises(ChipError, match=message) as caught:
        load_chip(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def _without(text: str, table: str) -> str:
    head, rest = text.split(f"[{table}]\n")
    return head + rest[rest.index("\n[") :]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChipError, match=r"binary\.toml: not a readable TOML file"):
        load_chip(path)


# The bound on cores


def small_esvae() -> Program:
    """Topology S of ESVAE behind its host encoder, with no weight zero."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (rng.integers(1, 128, shape) * rng.choice([-1, 1], shape)).astype(np.int8)

    down = [
        Conv2d(weight(cout, cin, 3, 3), (cin, side, side), (2, 2), (1, 1))
        for cin, cout, side in ((8, 16, 16), (16, 32, 8), (32, 64, 4))
    ]
    up = [
        ConvTranspose2d(weight(cin, cout, 3, 3), (cin, side, side), (2, 2), (1, 1), (1, 1))
        for cin, cout, side in ((64, 32, 2), (32, 16, 4), (16, 8, 8), (8, 8, 16))
    ]
    last = ConvTranspose2d(weight(8, 1, 3, 3), (8, 32, 32), (1, 1), (1, 1))
    latent = Dense(weight(32, 256), (64, 2, 2), (32,))
    expand = Dense(weight(256, 32), (32,), (64, 2, 2))
    return chain(*down, latent, expand, *up, last)


def test_small_esvae_on_both_chips(loihi1: Chip, loihi2: Chip) -> None:
    """16 928 neurons (2 048 of them the host-fed first layer, here a source) and 590 176 synapses, borders excluded."""
    for chip, cores in ((loihi1, 15), (loihi2, 2)):
        result = fit(small_esvae(), chip)
        assert result.fits
        assert not result.findings
        assert (result.neurons, result.synapses) == (16928 - 2048, 607_848 - 17_672)
        assert (result.cores_lower_bound, result.cores_available, result.binding) == (cores, 128, NEURONS)
        assert result.chip == chip.title


def test_unshared_kernels_fill_more_memory(loihi1: Chip) -> None:
    program = small_esvae()
    shared, unrolled = (
        rules.demands(program, loihi1),
        rules.demands(program, changed(loihi1, shared_kernels=False)),
    )
    assert [d.synapses for d in shared] == [d.synapses for d in unrolled]
    assert shared[-1].memory_words == ceil(72 * 8 / 64)
    assert unrolled[-1].memory_words == ceil(70688 * 8 / 64)
    assert shared[3].memory_words == unrolled[3].memory_words  # the dense latent has nothing to share


def test_memory_binds_where_weights_are_many(loihi1: Chip) -> None:
    result = fit(chain(dense(512, 1024)), loihi1)
    assert result.synapses == 512 * 1024
    assert (result.cores_lower_bound, result.binding) == (4, MEMORY)  # 4 Mbit of weights in cores of 1 Mbit


def test_narrow_weights_take_less_memory(loihi1: Chip) -> None:
    words = [
        rules.demands(chain(dense(64, 64, weight)), loihi1)[0].memory_words for weight in (127, 31, 7, 1)
    ]
    # 7 magnitudes bits and a sign; 6, 4 and 2 bits with the sign. 7 bits in all would be stored in 8.
    assert words == [64 * 64 * bits // 64 for bits in (8, 6, 4, 2)]
    assert rules.demands(chain(dense(64, 64, 63)), loihi1)[0].memory_words == 64 * 64 * 8 // 64


@given(st.lists(st.integers(-128, 127), max_size=5))
def test_signed_width_is_the_smallest_that_holds_all(values: list[int]) -> None:
    smallest = next(b for b in range(1, 9) if all(-(1 << (b - 1)) <= v < 1 << (b - 1) for v in values))
    assert rules.signed_width(np.array(values, np.int64)) == smallest


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_any_program_is_judged_and_its_synapses_are_those_of_the_matrix(case: tuple[Program, Inputs]) -> None:
    program, _ = case
    for name in chips():
        chip = changed(load_chip(name), neurons_per_core=3, synapse_words_per_core=2)
        result, asked = fit(program, chip), rules.demands(program, chip)
        assert result.neurons == sum(p.size for p in program.populations)
        assert result.synapses == sum(unroll(g.map).nnz for g in program.synapses)
        assert result.cores_lower_bound == max(
            ceil(result.neurons / 3), ceil(sum(d.memory_words for d in asked) / 2)
        )
        assert result.cores_lower_bound >= max(d.cores for d in asked)
        assert all(f.detail and f.remedy for f in result.findings)


# The rules


def test_too_many_cores(loihi1: Chip) -> None:
    program = chain(dense(4, 2100), dense(2100, 10))
    (finding,) = rules.cores(program, changed(loihi1, cores=2))
    assert (finding.severity, finding.node, finding.rule) == ("error", "chain", "cores")
    assert "at least 3 cores, Intel Loihi has 2; the limit is neurons per core" in finding.detail
    assert "p0 takes 3" in finding.remedy
    assert "at least 2 chips" in finding.remedy
    assert not rules.cores(program, changed(loihi1, cores=3))
    assert not fit(program, changed(loihi1, cores=2)).fits


def test_a_population_larger_than_the_chip(loihi1: Chip) -> None:
    small = changed(loihi1, cores=1)
    (finding,) = rules.population_size(chain(dense(4, 2000), dense(2000, 10, 1)), small)
    assert (finding.node, finding.severity) == ("p0", "error")
    assert not rules.population_size(chain(dense(4, 1024)), small)


def test_reset_interval(loihi1: Chip, loihi2: Chip) -> None:
    for timesteps, advice in ((6, "period to 8,"), (12, "period to 16,"), (20, "period to 32,")):
        program = chain(dense(2, 2), timesteps=timesteps)
        (finding,) = rules.reset_interval(program, loihi2)
        assert finding.severity == "warning"
        assert advice in finding.remedy
        assert "8 or 16 time steps" in finding.remedy
        assert not rules.reset_interval(program, loihi1)
        assert fit(program, loihi2).fits
    for timesteps in (1, 2, 8, 16):
        assert not rules.reset_interval(chain(dense(2, 2), timesteps=timesteps), loihi2)
    streamed = replace(chain(dense(2, 2), timesteps=7), period=10)
    assert "period to 8 or 16" in rules.reset_interval(streamed, loihi2)[0].remedy


def test_thresholds_of_their_own(loihi1: Chip, loihi2: Chip) -> None:
    program = chain(dense(2, 9), thresholds=np.arange(9) + 1)
    (finding,) = rules.thresholds(program, loihi1)
    assert (finding.severity, finding.node, finding.remedy) == (
        "error",
        "p0",
        "quantise with one scale a layer",
    )
    assert "9 distinct thresholds, a core holds 8" in finding.detail
    assert not rules.thresholds(program, loihi2)
    assert not rules.thresholds(chain(dense(2, 8), thresholds=np.arange(8) + 1), loihi1)
    # Two cores hold twice as many.
    assert not rules.thresholds(chain(dense(2, 2000), thresholds=np.arange(2000) % 16 + 1), loihi1)
    assert (
        "2 cores hold 16"
        in rules.thresholds(chain(dense(2, 2000), thresholds=np.arange(2000) % 17), loihi1)[0].detail
    )


def test_weight_formats(loihi1: Chip) -> None:
    program = chain(dense(2, 2, 100))
    assert not rules.weights(program, loihi1)
    (narrow,) = rules.weights(program, changed(loihi1, weight_bits=(1, 2, 4)))
    assert (narrow.rule, narrow.remedy) == ("weight bits", "quantise to 4 bits")
    assert "need 8 bits" in narrow.detail
    (shift,) = rules.weights(program, changed(loihi1, weight_exponent_min=1))
    assert "weight exponent 0 is outside 1..7" in shift.detail


def test_delays(loihi1: Chip) -> None:
    program = chain(dense(2, 2))
    late = replace(program, synapses=(replace(program.synapses[0], delay=5),))
    assert not rules.delays(late, loihi1)
    (finding,) = rules.delays(late, changed(loihi1, delay_max=4))
    assert (finding.severity, finding.node) == ("error", "in-p0")
    assert "by 5 steps" in finding.detail


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"membrane_decay": 4096}, "membrane decay 4096 exceeds 4095"),
        ({"current_decay": 5000}, "current decay 5000 exceeds 4095"),
        ({"threshold": np.array([1 << 17, 0])}, "threshold 131072 exceeds 131071"),
        ({"bias_mantissa": np.array([-4096, 0])}, "bias mantissa 4096 exceeds 4095"),
        ({"bias_exponent": np.array([8, 0])}, "bias exponent 8 exceeds 7"),
    ],
)
def test_registers(loihi1: Chip, fields: dict[str, object], detail: str) -> None:
    program = chain(dense(2, 2))
    assert not rules.registers(program, loihi1)
    (finding,) = rules.registers(altered(program, **fields), loihi1)
    assert (finding.severity, finding.node, finding.rule) == ("error", "p0", "registers")
    assert detail in finding.detail


def test_fan_in_counts_every_branch(loihi1: Chip) -> None:
    program = chain(dense(3, 3), dense(3, 3))
    branch = SynapseGroup("in-p1", "in", "p1", dense(3, 3), 0, 1)
    program = replace(program, synapses=(*program.synapses, branch))
    validate(program)
    assert not rules.fan_in(program, changed(loihi1, input_axons_per_core=6))
    (finding,) = rules.fan_in(program, changed(loihi1, input_axons_per_core=5))
    assert (finding.severity, finding.node) == ("warning", "p1")
    assert "listens to 6" in finding.detail


def test_all_findings_are_gathered(loihi2: Chip) -> None:
    program = altered(chain(dense(2, 9000), timesteps=6), membrane_decay=4096)
    assert rules_broken(program, changed(loihi2, cores=1)) == {
        ("chain", "cores"), ("p0", "population size"), ("p0", "registers"), ("chain", "reset interval")
    }  # fmt: skip
