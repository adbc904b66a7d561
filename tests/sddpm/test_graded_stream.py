"""The stream of the U-Net in graded relays: the same network, without composed shortcuts, on chips that have such spikes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from spikewright.benchmarks.counting import count, totals
from spikewright.errors import BuildError
from spikewright.export.float_run import run_float
from spikewright.export.graph import Relay, Synapses
from spikewright.hardware import host, reference
from spikewright.hardware.chip import load_chip
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.fit import fit
from spikewright.hardware.placement import place
from spikewright.lowering import Lowered
from spikewright.models.spiking_unet import SpikingUNet
from spikewright.recipe import UNetRecipe, load_recipe
from spikewright.sddpm.comparing_builds import build_name
from spikewright.sddpm.lowering import lower_denoiser
from spikewright.sddpm.system import System

from .test_lowering import CONFIG, images, network, seen

#: All that leaves a stream which a shortcut or the tail of the chip build reads; what only neurons see has no relay.
POINTS = (
    "entrance", "d0_0", "down0", "d1_0", "down1", "d2_0", "m0", "m1", "u2_0", "up2", "u1_0", "up1", "u0_0", "u0_1"
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SpikingUNet:
    return network("chip")


@pytest.fixture(scope="module")
def lowered(model: SpikingUNet, tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    return lower_denoiser(
        model, images(), tmp_path_factory.mktemp("graded"), chip="loihi2", residual="graded"
    )


def test_streams_that_something_analogue_reads_have_relays(model: SpikingUNet, lowered: Lowered) -> None:
    assert model.relay_points == POINTS
    assert lowered.float_graph.select(Relay) == [f"relays_{name}" for name in POINTS]
    assert [p.name for p in lowered.program.populations if p.graded] == [f"relays_{name}" for name in POINTS]
    faithful = SpikingUNet(replace(CONFIG, build="faithful"))
    assert faithful.relay_points == POINTS[:-1]
    assert SpikingUNet(replace(CONFIG, build="lean")).relay_points == ()


def test_relays_leave_no_trace_in_the_network(model: SpikingUNet) -> None:
    before, packed = list(model.state_dict()), torch.from_numpy(seen(model))

    def told() -> torch.Tensor:
        for module in model.modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        with torch.no_grad():
            return [model.step(packed) for _ in range(4)][-1]

    plain = told()
    with model.relayed():
        assert len(model.relays) == len(POINTS)
        assert torch.equal(told(), plain)
    assert not len(model.relays)
    assert list(model.state_dict()) == before
    with pytest.raises(ValueError, match="lean build reads spikes only"), network("lean").relayed():
        pass


def test_shortcuts_are_read_from_relays_and_not_composed(lowered: Lowered) -> None:
    graph = lowered.float_graph
    into = {name: graph.sources(name) for name in graph.select(Relay)}
    # The second convolution of a block, and its shortcut from the main stream and from the one taken back.
    sizes = {name.removeprefix("relays_"): len(groups) for name, groups in into.items()}
    assert {name: sizes[name] for name in ("entrance", "d0_0", "down0", "u0_1", "up1")} == {
        "entrance": 1, "d0_0": 2, "down0": 1, "u0_1": 3, "up1": 1
    }  # fmt: skip
    tail = [graph.nodes[s] for s in graph.sources("readout")]
    assert len(tail) == 1
    assert isinstance(tail[0], Synapses)
    assert tail[0].map.weight.shape[2:] == (3, 3)


@pytest.fixture(scope="module")
def unrolled(model: SpikingUNet, tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    return lower_denoiser(model, images(), tmp_path_factory.mktemp("unrolled"), chip="loihi2")


def test_it_tells_the_noise_about_as_well_as_the_unrolled_program(
    model: SpikingUNet, lowered: Lowered, unrolled: Lowered
) -> None:
    samples, errors = seen(model), {}
    wanted = run_float(unrolled.float_graph, samples).readouts["readout"]
    for name, program in (("graded", lowered.program), ("unrolled", unrolled.program)):
        found = Emulator(program, threads=1).run(host.encode(program, samples)[0])
        told = found.readouts["readout"] / program.population("readout").scale
        errors[name] = float(((told - wanted) ** 2).mean() / (wanted**2).mean())
    assert errors["graded"] < 2 * errors["unrolled"], errors
    assert run_float(lowered.float_graph, samples).readouts["readout"] == pytest.approx(wanted, abs=1e-3)


def test_the_emulator_is_the_reference_on_it(model: SpikingUNet, lowered: Lowered) -> None:
    program = lowered.program
    inputs, _ = host.encode(program, seen(model, 2))
    slow, fast = reference.run(program, inputs), Emulator(program, threads=1).run(inputs, "spikes")
    assert all((slow.spikes[name] == sent).all() for name, sent in fast.spikes.items())
    assert (slow.readouts["readout"] == fast.readouts["readout"]).all()


def test_it_has_fewer_synapses_counts_its_products_and_fits(
    model: SpikingUNet, lowered: Lowered, unrolled: Lowered
) -> None:
    found = {}
    for name, program in (("graded", lowered.program), ("unrolled", unrolled.program)):
        inputs, _ = host.encode(program, seen(model))
        found[name] = totals(count(program, Emulator(program, threads=1).run(inputs), inputs.samples))
    assert found["graded"].synapses < 0.8 * found["unrolled"].synapses
    assert found["unrolled"].graded_sops == found["unrolled"].payload_bits == 0
    assert 0 < found["graded"].graded_sops < found["graded"].sops
    assert found["graded"].payload_bits > 0
    chip = load_chip("loihi2")
    assert fit(lowered.program, chip, place(lowered.program, chip)).fits
    assert lowered.program.depth > unrolled.program.depth


def test_a_chip_without_graded_spikes_refuses_before_anything_is_written(
    model: SpikingUNet, tmp_path: Path
) -> None:
    with pytest.raises(
        BuildError, match="relays_entrance: is a graded relay, spikes of Intel Loihi carry no values"
    ):
        lower_denoiser(model, images(), tmp_path / "out", chip="loihi1", residual="graded")
    assert not list((tmp_path / "out").iterdir())
    assert not len(model.relays)


def test_firing_populations_are_the_neurons_alone(model: SpikingUNet, lowered: Lowered) -> None:
    names = [p.name for p in System(lowered, model, 1.0, "graded").firing]
    assert len(names) == 27
    assert not any(name.startswith("relays") for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"build": "lean"}}, "shortcuts of the lean build read spikes"),
        ({"quantise": {"tune": 10}}, "are not fine-tuned"),
        ({"deploy": {"payload_bits": 25}}, "payload_bits"),
        ({"deploy": {"residual": "analogue"}}, "residual"),
    ],
)
def test_recipes_that_ask_for_what_is_not_there_are_refused(changes: dict[str, Any], message: str) -> None:
    recipe = load_recipe("sddpm-digits").model_dump()
    recipe["deploy"]["residual"] = "graded"
    assert UNetRecipe.model_validate(recipe).deploy.payload_bits == 12
    for part, values in changes.items():
        recipe[part] |= values
    with pytest.raises(ValidationError, match=message):
        UNetRecipe.model_validate(recipe)


def test_reports_of_relays_are_named_so() -> None:
    class Report:
        recipe: dict[str, Any] = {"model": {"build": "chip"}, "deploy": {"residual": "graded"}}  # noqa: RUF012

    assert build_name(Report()) == "chip, graded"  # type: ignore[arg-type]
