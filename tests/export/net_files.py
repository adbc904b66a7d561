"""Layers of ``.net`` files by hand, as lava-dl's SLAYER writes them: every form that netx takes, at random."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layer = dict[str, Any]
DECAYS = (0, 1, 512, 1024, 3000, 4095, 4096)


def write(path: Path, layers: list[Layer]) -> Path:
    """A file of layers: one table of datasets each."""
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(layers):
            for name, value in layer.items():
                # The type of a layer is a fixed string in an array of one, that of a neuron a string.
                file[f"layer/{index}/{name}"] = np.array([value], "S10") if name == "type" else value
        file["simulation/Ts"], file["simulation/tSample"] = 1, 16
    return path


def cuba(threshold: Any = 300, current: Any = 1024, membrane: Any = 128) -> Layer:
    """The fields of a neuron as SLAYER writes them."""
    return {
        "neuron/type": "CUBA",
        "neuron/iDecay": current,
        "neuron/vDecay": membrane,
        "neuron/vThMant": threshold,
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }


def _weights(rng: np.random.Generator, shape: tuple[int, ...], sign: int = 0) -> np.ndarray:
    step = rng.choice([1, 2, 2, 4])
    span = int(rng.choice([100, 126, 254]))
    weight = rng.integers(-(span // step), span // step + 1, shape) * step
    weight[(0,) * len(shape)] = span // step * step  # never zero throughout
    if sign:
        return sign * np.abs(weight)
    weight[(-1,) * len(shape)] = -2 * step
    return weight


def _neuron(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Layer:
    """Registers as one number, one a channel, or one a neuron (in netx's order)."""

    def values(low: int, high: int) -> Any:
        kind = rng.integers(4)
        if kind == 0:
            return rng.integers(low, high, shape[::-1])
        if kind == 1 and len(shape) == 3:
            return rng.integers(low, high, shape[0])
        return int(rng.integers(low, high))

    current, membrane = (int(rng.choice(DECAYS)) if rng.random() < 0.7 else values(0, 4097) for _ in "uv")
    return cuba(values(20, 60 + 40 * int(np.sqrt(fan_in))), current, membrane)


def _pairs(rng: np.random.Generator, low: int, high: int) -> Any:
    pair = rng.integers(low, high, 2)
    return pair if rng.random() < 0.6 else int(pair[0])


def random_layers(rng: np.random.Generator, *, lags: bool = True) -> list[Layer]:
    """A network; with ``lags`` it may have delays and recurrence, and then it has no biases."""
    late = bool(lags and rng.random() < 0.5)
    shape: tuple[int, ...] = tuple(
        int(n) for n in (rng.integers(1, 4), rng.integers(4, 8), rng.integers(3, 9))
    )
    if rng.random() < 0.4:
        shape = (int(rng.integers(3, 12)),)
    layers: list[Layer] = [{"type": "input", "shape": np.array(shape)}]
    for _ in range(rng.integers(0, 3) if len(shape) == 3 else 0):
        layers.append(_convolution(rng, shape, not late))
        shape = tuple(int(n) for n in layers[-1]["shape"])
    if len(shape) == 3:
        layers.append({"type": "flatten", "shape": np.array([prod(shape)])})
    for _ in range(rng.integers(1, 3)):
        layers.append(_dense(rng, prod(shape), late))
        shape = tuple(int(n) for n in layers[-1]["shape"])
    if rng.random() < 0.3:
        layers[-1] = {k: v for k, v in layers[-1].items() if "neuron" not in k}
    return layers


def _convolution(rng: np.random.Generator, shape: tuple[int, ...], biased: bool) -> Layer:
    from spikewright.export.linear import Conv2d

    channels = shape[0]
    groups = channels if channels > 1 and rng.random() < 0.3 else 1
    outputs = groups * int(rng.integers(1, 4))
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    stride, padding, dilation = (_pairs(rng, *limits) for limits in ((1, 3), (0, 3), (1, 3)))
    weight = _weights(rng, (outputs, channels // groups, *kernel))
    sides = [tuple(np.broadcast_to(p, 2).tolist()) for p in (stride, padding, dilation)]
    try:
        out = Conv2d(weight, shape, *sides, groups).output_shape
    except ValueError:  # the kernel does not fit
        return _convolution(rng, shape, biased)
    layer = {
        "type": "conv",
        "shape": np.array(out),
        "inChannels": channels,
        "outChannels": outputs,
        "kernelSize": np.array(kernel),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "weight": (weight[..., None] if rng.random() < 0.5 else weight).astype(rng.choice(["f4", "i4"])),
        **_neuron(rng, out, channels // groups * prod(kernel)),
    }
    if biased and rng.random() < 0.5:
        layer["bias"] = rng.integers(-40, 60, out[::-1] if rng.random() < 0.5 else out[0])
    return layer


def _dense(rng: np.random.Generator, inputs: int, late: bool) -> Layer:
    outputs = int(rng.integers(2, 9))
    recurrent = late and rng.random() < 0.5
    if recurrent and inputs < 12 and rng.random() < 0.5:
        outputs = inputs  # which allows delays
    sign = int(rng.choice([0, 0, 0, 1, -1]))
    layer = {
        "type": "dense_rec" if recurrent else "dense",
        "shape": np.array([outputs]),
        "inFeatures": inputs,
        "outFeatures": outputs,
        "weight": _weights(rng, (outputs, inputs), sign) + 0.25 * (rng.random() < 0.3),
        **_neuron(rng, (outputs,), inputs),
    }
    if recurrent:
        layer["weight_rec"] = _weights(rng, (outputs, outputs))
    if late and rng.random() < 0.6 and (not recurrent or inputs == outputs):
        shapes: list[tuple[int, ...]] = [(), (outputs,), (inputs,), (outputs, inputs)]
        layer["delay"] = rng.integers(0, rng.choice([2, 5]), shapes[rng.integers(4)])
    if not late and rng.random() < 0.5:
        layer["bias"] = rng.integers(-40, 60, outputs)
    return layer
