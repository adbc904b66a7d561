"""Which kernel runs, who says so, and what is refused."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from spikewright.cli.simulating import KernelName
from spikewright.export.linear import Conv2d, Dense
from spikewright.hardware import device_emulator, reference
from spikewright.hardware.device_emulator import DeviceEmulator
from spikewright.hardware.emulation.feed import TRY_AGAIN, TRY_EVERY, Estimate, Feed, Kernel
from spikewright.hardware.emulation.layout import Layout
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import Inputs, Population, Program, ProgramError, SpikeSource, SynapseGroup


def feed(forced: Kernel | None = None) -> Feed:
    map_ = Dense(np.ones((8, 16), np.int8), (16,), (8,))
    return Feed(SynapseGroup("g", "a", "b", map_, 0), Layout(16), Layout(8), 1, forced)


def test_the_cheaper_kernel_is_taken_and_a_rate_can_turn_it() -> None:
    one = feed()
    one.estimates = {"events": Estimate(1e-6, 0), "float32": Estimate(1e-9, 1e-5)}
    one.kernels = ("events", "float32")
    # 8 synapses a spike: 8 us for each, against 10.1 us a step.
    assert one.choose(1, 1) == "events"
    assert one.choose(2, 1) == "float32"
    assert feed("float64").choose(0, 1) == "float64"


def test_estimates_go_down_at_once_and_up_slowly() -> None:
    estimate = Estimate(1e-6, 0.0)
    estimate.learn(100, 0, 100e-6 * 50)
    assert estimate.seconds(100, 0) == pytest.approx(3e-4)
    estimate.learn(100, 0, 1.0)
    assert estimate.seconds(100, 0) == pytest.approx(3.3e-4)
    estimate.learn(100, 0, 1e-6)
    assert estimate.seconds(100, 0) == pytest.approx(1e-6)
    assert estimate.measured


def test_what_lost_by_a_guess_is_tried_and_what_lost_by_a_measurement_too() -> None:
    one = feed()
    one.kernels = ("events", "float32", "float64")
    one.estimates = {
        "events": Estimate(1e-9, 0, True),
        "float32": Estimate(4e-9, 0),
        "float64": Estimate(1, 1),
    }
    first = [one.choose(16, 1) for _ in range(TRY_EVERY)]
    assert first == ["events"] * (TRY_EVERY - 1) + ["float32"]
    one.estimates["float32"].measured = True
    later = [one.choose(16, 1) for _ in range(TRY_EVERY, TRY_AGAIN)]
    assert later == ["events"] * (len(later) - 1) + ["float32"]


def small(reset: str = "zero") -> tuple[Program, Inputs]:
    def population(name: str, shape: tuple[int, ...], start: int, **more: Any) -> Population:
        size = int(np.prod(shape))
        zeros, ones = np.zeros(size, np.int64), np.ones(size)
        return Population(
            name,
            shape,
            4095 + zeros,
            900 + zeros,
            300 + zeros,
            zeros,
            zeros,
            ones,
            start,
            reset=reset,
            **more,  # type: ignore[arg-type]
        )

    rng = np.random.default_rng(0)
    conv = Conv2d(rng.integers(-60, 61, (3, 2, 3, 2)).astype(np.int8), (2, 5, 7), (2, 1), (1, 1))
    size = int(np.prod(conv.output_shape))
    dense = Dense(rng.integers(-60, 61, (4, size)).astype(np.int8), conv.output_shape, (4,))
    program = Program(
        "small", 6, 6, (SpikeSource("in", (2, 5, 7)),),
        (population("a", conv.output_shape, 1), population("b", (4,), 2)),
        (SynapseGroup("in-a", "in", "a", conv, 0), SynapseGroup("a-b", "a", "b", dense, 0)),
    )  # fmt: skip
    return program, Inputs({"in": (rng.random((5, 6, 70)) < 0.3).astype(np.uint8)})


def test_a_run_can_be_explained() -> None:
    program, inputs = small()
    emulator = Emulator(program, threads=1)
    assert [c.kernel for c in emulator.explain()] == [None, None]
    recording = emulator.run(inputs)
    first, second = emulator.explain()
    assert (first.group, first.map, second.map) == ("in-a", "Conv2d", "Dense")
    assert first.rate == pytest.approx(recording.counts["in"].sum() / (5 * 6 * 70))
    assert first.kernel in first.seconds
    assert set(first.seconds) == set(emulator.feeds["in-a"].kernels)
    forced = Emulator(program, kernel="float64")
    forced.run(inputs)
    assert [(c.kernel, c.seconds) for c in forced.explain()] == [("float64", {})] * 2


def test_the_command_line_names_the_same_kernels() -> None:
    assert tuple(k.value for k in KernelName) == get_args(Kernel)


def test_a_read_out_that_only_adds_is_summed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program, inputs = small()
    a, _ = program.populations
    zeros = np.zeros(4, np.int64)
    out = Population(
        "b",
        (4,),
        4095 + zeros,
        zeros,
        131071 + zeros,
        np.array([3, -2, 0, 9]),
        zeros,
        np.ones(4),
        2,
        readout=True,
    )
    program = Program("small", 6, 6, program.sources, (a, out), program.synapses)
    emulator = Emulator(program)
    assert emulator.neurons["b"].sums_once
    assert not emulator.neurons["a"].sums_once
    ran = emulator.run(inputs)
    slow = reference.run(program, inputs)
    assert (ran.readouts["b"] == slow.readouts["b"]).all()
    assert slow.readouts["b"].any()
    assert emulator.feeds["a-b"].last is None  # no sum of a step was made
    assert (emulator.run(inputs, "states").membranes["b"] == slow.membranes["b"]).all()
    # A threshold that it may reach, a leak, or a current that stays: not a plain sum.
    for change in (
        {"threshold": 200 + zeros},
        {"membrane_decay": zeros + 1},
        {"current_decay": zeros + 4094},
    ):
        other = Population(**{**_fields(out), **change})
        assert (
            not Emulator(Program("x", 6, 6, program.sources, (a, other), program.synapses))
            .neurons["b"]
            .sums_once
        )


def test_it_is_summed_in_the_order_of_its_ends() -> None:
    """A convolution reads what another map wants in another order."""
    rng = np.random.default_rng(4)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-9, 10, shape).astype(np.int8)

    wide, tall = Conv2d(weights(2, 2, 1, 1), (2, 3, 4)), Conv2d(weights(4, 4, 1, 1), (4, 3, 2))
    zeros, n = np.zeros(24, np.int64), 24
    readouts = [
        Population(
            name, shape, 4095 + zeros, zeros, 131071 + zeros, zeros, zeros, np.ones(n), 1, readout=True
        )
        for name, shape in (("a", (2, 3, 4)), ("b", (2, 3, 4)), ("c", (4, 3, 2)))
    ]
    program = Program(
        "ends", 5, 5, (SpikeSource("in", (24,)),), tuple(readouts),
        tuple(
            SynapseGroup(f"in-{name}", "in", name, map_, 0)
            for name, map_ in (("a", wide), ("b", wide), ("c", tall))
        ),
    )  # fmt: skip
    inputs = Inputs({"in": (rng.random((3, 5, 24)) < 0.4).astype(np.uint8)})
    emulator = Emulator(program)
    assert all(neurons.sums_once for neurons in emulator.neurons.values())
    assert emulator.feeds["in-c"].inside != emulator.feeds["in-c"].source
    ran, slow = emulator.run(inputs), reference.run(program, inputs)
    assert all((ran.readouts[name] == slow.readouts[name]).all() for name in "abc")


def _fields(p: Population) -> dict[str, Any]:
    return {k: v for k, v in vars(p).items() if k != "bias"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"kernel": "float16"}, "'float16'; choose one of events"), ({"threads": 0}, "threads is 0")],
)
def test_a_setting_that_does_not_exist_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        Emulator(small()[0], **settings)


def test_torch_keeps_its_threads_after_a_run() -> None:
    program, inputs = small()
    before = torch.get_num_threads()
    Emulator(program, threads=2).run(inputs)
    assert torch.get_num_threads() == before


def test_a_device_that_is_missing_is_named() -> None:
    with pytest.raises(ProgramError, match=r"device 'nonsense'.*choose one that torch finds"):
        DeviceEmulator(small()[0], "nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(ProgramError, match="device 'cuda'"):
            DeviceEmulator(small()[0], "cuda")


def test_a_device_that_rounds_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    true = torch.full

    def rounded(size: Any, value: float, **more: Any) -> torch.Tensor:
        return true(size, value, **more).bfloat16().float()

    monkeypatch.setattr(device_emulator.torch, "full", rounded)
    with pytest.raises(ProgramError, match="rounds products that float32 holds"):
        DeviceEmulator(small()[0], "cpu")
