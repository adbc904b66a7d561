"""Layers out of a lava-dl ``.net`` file, as netx 0.6.0 reads them.

netx skips layers of a type that it does not know, drops what it does not read and repairs some values with a printed
warning. Here an unknown type is refused, and whatever the file says but netx does not do is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from .errors import ExportError
from .formats import DECAY_ONE, DELAY_MAX, Ints
from .linear import Conv2d, Dense, Shape
from .net_file import Fields, opened
from .net_layers import (
    INPUT_WEIGHT,
    LARGEST_LAYER,
    LARGEST_THRESHOLD,
    NetInput,
    NetLayer,
    NetNetwork,
    NetNeurons,
    channels_first,
)
from .net_weights import HIGHEST, LOWEST, effective_dense

Note = Callable[[str], None]

REMEDIES = {
    "pool": "netx has no pooling; use a strided convolution",
    "average": "netx has no averaging; count the spikes of the last layer outside",
    "convT": "netx has no transposed convolution; use the NIR export",
    "unpool": "netx has no unpooling; use the NIR export",
    "concat": "netx files are strictly sequential; use the NIR export",
    "dense_comp": "netx cannot load complex layers; train with CUBA neurons",
}
#: netx holds strides and the like in int8.
LARGEST_STEP = 127
LARGEST_BIAS = (1 << 15) - 1


def parse(path: Path, input_shape: Shape | None, note: Note) -> NetNetwork:
    """Layers of a file.

    Parameters
    ----------
    input_shape : tuple of int, optional
        (channels, height, width) for a file that does not begin with an input layer.
    note : callable
        Takes a sentence for whatever netx changes or ignores.

    Raises
    ------
    ExportError
        Names the file, the layer and the field.
    """
    with opened(path) as root:
        layers = root.below("layer", "layer")
        count = len(layers.group)
        if not count:
            raise ExportError("layer is empty; export the network again")
        parser = _Parser(note, input_shape)
        for index in range(count):
            if str(index) not in layers:
                raise ExportError(
                    f"layer: has {count} entries but none called {index}; number them 0 to {count - 1}"
                )
            parser.take(index, layers.below(str(index), f"layer {index}"))
        return parser.network(path.stem)


class _Parser:
    """Reads layer after layer; knows the shape that the next one is fed."""

    def __init__(self, note: Note, input_shape: Shape | None) -> None:
        self.note = note
        self.input = None if input_shape is None else NetInput(input_shape)
        self.shape = input_shape
        self.flattened = False
        self.layers: list[NetLayer] = []

    def take(self, index: int, fields: Fields) -> None:
        """Read one layer."""
        kind = fields.text("type")
        fields.label = f"layer {index} ({kind})"
        if kind == "input":
            self._input(index, fields)
        elif kind == "conv":
            self._convolution(fields, f"{kind}{index}")
        elif kind == "flatten":
            if self.shape is None:
                raise fields.wrong("type", "comes before any shape is known", "begin with an input layer")
            self.flattened = True
        elif kind in ("dense", "dense_rec"):
            self._dense(fields, f"{kind}{index}", kind == "dense_rec")
        else:
            remedy = REMEDIES.get(
                kind, "netx skips layers that it does not know; use conv, flatten and dense"
            )
            raise fields.wrong("type", f"{kind!r} is not supported", remedy)

    def network(self, name: str) -> NetNetwork:
        """All that was read."""
        if not self.layers or self.input is None:
            raise ExportError("layer: holds no layer with synapses; export the network again")
        return NetNetwork(name, self.input, tuple(self.layers))

    def _input(self, index: int, fields: Fields) -> None:
        if index:
            raise fields.wrong("type", "is no first layer", "netx files are strictly sequential")
        shape = _shape(fields)
        if self.input is not None and self.input.shape != shape:
            raise fields.wrong(
                "shape", f"is {shape}, not {self.input.shape} as stated", "leave one of them out"
            )
        self.shape = shape
        if "neuron" not in fields:
            self.input = NetInput(shape)
            return
        neurons = self._neurons(fields, shape, np.zeros(prod(shape), np.int64))
        weight, bias = (
            int(fields.truncated(name).ravel()[0]) if name in fields else default
            for name, default in (("weight", INPUT_WEIGHT), ("bias", 0))
        )
        for name in ("weight", "bias"):
            if name in fields and fields.numbers(name).size != 1:
                raise fields.wrong(name, "of an input is one number", "export the network again")
        self.input = NetInput(shape, neurons, weight, bias)

    def _convolution(self, fields: Fields, label: str) -> None:
        given, shape = self.shape, _shape(fields)
        if given is None:
            raise fields.wrong("type", "comes before any shape is known", "state input_shape")
        if len(given) != 3 or self.flattened:
            raise fields.wrong("type", f"is fed a vector of {prod(given)}", "put convolutions before flatten")
        if "weight/imag" in fields:
            raise fields.wrong("weight", "is complex", "train with CUBA neurons")
        weight = fields.truncated("weight")
        if weight.ndim == 5 and weight.shape[4] == 1:  # SLAYER's kernels have an axis of time
            weight = weight[..., 0]
        if weight.ndim != 4:
            raise fields.wrong("weight", f"has shape {weight.shape}", "write (O, I / groups, height, width)")
        stride, padding = _pair(fields, "stride", 1), _pair(fields, "padding", 0)
        dilation = _pair(fields, "dilation", 1)
        groups = fields.integers("groups", 1, 1 << 15)
        if groups.size != 1:
            raise fields.wrong("groups", f"has shape {groups.shape}", "write one number")
        if weight.shape[0] % int(groups.ravel()[0]):
            raise fields.wrong(
                "groups", f"do not divide {weight.shape[0]} channels", "export the network again"
            )
        try:
            map_ = Conv2d(weight, given, stride, padding, dilation, int(groups.ravel()[0]))
        except ValueError as error:
            raise fields.wrong("weight", f"does not fit: {error}", "export the network again") from None
        if map_.output_shape != shape:
            raise fields.wrong(
                "shape", f"is {shape}, the convolution gives {map_.output_shape}", "correct it"
            )
        if "delay" in fields and fields.truncated("delay").any():
            raise fields.wrong("delay", "is not zero, and netx drops it", "train convolutions without delays")
        if "neuron" not in fields:
            raise fields.wrong("neuron", "is missing", "netx wants neurons behind a convolution")
        neurons = self._neurons(fields, shape, _image_bias(fields, shape))
        self._add(fields, NetLayer(label, map_, neurons))

    def _dense(self, fields: Fields, label: str, recurrent: bool) -> None:
        outputs = prod(_shape(fields))
        if "weight/imag" in fields:
            raise fields.wrong("weight", "is complex", "train with CUBA neurons")
        names = ["weight", "weight_rec"] if recurrent else ["weight"]
        matrices = [_matrix(fields, name, outputs) for name in names]
        inputs = matrices[0].shape[1]
        if recurrent and matrices[1].shape[1] != outputs:
            raise fields.wrong("weight_rec", f"has shape {matrices[1].shape}", f"write {(outputs, outputs)}")
        if self.shape is None:
            self.shape, self.input = (inputs,), NetInput((inputs,))
        if prod(self.shape) != inputs:
            detail = f"takes {inputs} values, {prod(self.shape)} come"
            raise fields.wrong("weight", detail, "export the network again")
        if self.layers and len(self.shape) > 1 and not self.flattened:
            raise fields.wrong("type", f"is fed an image {self.shape}", "put a flatten layer before it")
        delay = self._delay(fields, matrices[0].shape)
        if recurrent and delay.size and inputs != outputs:
            detail = f"of {delay.shape} does not fit the recurrent weights as well"
            raise fields.wrong("delay", detail, "netx uses one delay matrix for both; make layers as wide")
        lost = recurrent and bool(delay.size)
        try:
            effective = effective_dense(matrices, exponent_lost=lost)
        except ExportError as error:
            raise ExportError(f"{fields.label}: {error}") from None
        changed = sum(int((a != b).sum()) for a, b in zip(matrices, effective, strict=True))
        if changed:
            total = sum(m.size for m in matrices)
            why = (
                "it drops the weight exponent of recurrent layers with delays"
                if lost
                else f"its synapses hold {LOWEST}..{HIGHEST} and fewer bits for weights of one sign"
            )
            self.note(
                f"{fields.label}: netx changes {changed} of {total} weights, {why}; read as netx has them"
            )
        neurons = self._neurons(fields, (outputs,), _vector_bias(fields, outputs))
        extra = {"recurrent": effective[1], "recurrent_delay": delay} if recurrent else {}
        map_ = Dense(effective[0], self.shape, (outputs,))
        self._add(fields, NetLayer(label, map_, neurons, delay, **extra))

    def _add(self, fields: Fields, layer: NetLayer) -> None:
        if self.layers and self.layers[-1].neurons.never_fires:
            raise ExportError(
                f"{fields.label}: is fed by {self.layers[-1].label}, which never fires; give that layer a neuron and a "
                "threshold of at most 131071"
            )
        self.layers.append(layer)
        self.shape, self.flattened = layer.neurons.shape, False

    def _delay(self, fields: Fields, shape: Shape) -> Ints:
        """Delay of each synapse; empty where there is none."""
        if "delay" not in fields:
            return np.zeros((0, 0), np.int64)
        delay = fields.truncated("delay")
        if delay.min() < 0:
            raise fields.wrong("delay", f"is {delay.min()}", "spikes cannot arrive before they are sent")
        if delay.max() > DELAY_MAX:
            self.note(f"{fields.label}: netx clamps delays of up to {delay.max()} to {DELAY_MAX}; read so")
            delay = np.minimum(delay, DELAY_MAX)
        if delay.ndim == 1 and len(delay) == shape[0]:  # one an output takes precedence where both fit
            delay = delay[:, None]
        elif delay.ndim == 1 and len(delay) == shape[1]:
            delay = delay[None, :]
        elif delay.ndim and delay.shape != shape:
            raise fields.wrong(
                "delay", f"has shape {delay.shape}", f"write one, {shape[0]}, {shape[1]} or {shape}"
            )
        return np.broadcast_to(delay, shape)

    def _neurons(self, fields: Fields, shape: Shape, bias: Ints) -> NetNeurons:
        if "neuron" not in fields:
            return NetNeurons.silent(shape, bias)
        neuron = fields.below("neuron", f"{fields.label}, neuron")
        kind = neuron.text("type")
        if kind not in ("CUBA", "LOIHI"):
            raise neuron.wrong("type", f"{kind!r} is not supported", "train with CUBA neurons")
        for name, meaning in (("refDelay", 1), ("weight_exp", 0)):
            if name in neuron and (neuron.numbers(name) != meaning).any():
                self.note(f"{neuron.label}: netx ignores {name}, which is not {meaning}; read so")
        current = _per_neuron(neuron, "iDecay", DECAY_ONE, shape)
        membrane = _per_neuron(neuron, "vDecay", DECAY_ONE, shape)
        threshold = _per_neuron(neuron, "vThMant", LARGEST_THRESHOLD, shape)
        return NetNeurons(shape, current, membrane, threshold, bias)


def _shape(fields: Fields) -> Shape:
    values = fields.integers("shape", 1, LARGEST_LAYER)
    if values.ndim > 1 or values.size > 3 or prod(values.ravel().tolist()) > LARGEST_LAYER:
        detail = f"is {values.ravel()[:4].tolist()}"
        raise fields.wrong("shape", detail, f"at most 3 axes and {LARGEST_LAYER} neurons are read")
    return tuple(int(v) for v in values.ravel())


def _pair(fields: Fields, name: str, low: int) -> tuple[int, int]:
    """A number for both axes, or (height, width)."""
    values = fields.integers(name, low, LARGEST_STEP)
    if values.shape not in ((), (2,)):
        raise fields.wrong(name, f"has shape {values.shape}", "write one number, or (height, width)")
    a, b = np.broadcast_to(values, (2,)).tolist()
    return a, b


def _matrix(fields: Fields, name: str, outputs: int) -> Ints:
    weight = fields.truncated(name)
    if weight.ndim == 1 and not weight.size % outputs:
        weight = weight.reshape(outputs, -1)
    if weight.ndim != 2 or weight.shape[0] != outputs:
        raise fields.wrong(name, f"has shape {weight.shape}", f"write ({outputs}, inputs)")
    return weight


def _bias(fields: Fields) -> Ints | None:
    if "bias" not in fields:
        return None
    bias = fields.truncated("bias")
    if np.abs(bias).max() > LARGEST_BIAS:
        raise fields.wrong(
            "bias", f"{bias.flat[np.abs(bias).argmax()]} exceeds 16 bits", "scale the layer down"
        )
    return bias


def _vector_bias(fields: Fields, outputs: int) -> Ints:
    bias = _bias(fields)
    if bias is None:
        return np.zeros(outputs, np.int64)
    if bias.shape not in ((outputs,), (), (1,)):
        raise fields.wrong("bias", f"has shape {bias.shape}", f"write one number a neuron: ({outputs},)")
    return np.broadcast_to(bias, (outputs,)).copy()


def _image_bias(fields: Fields, shape: Shape) -> Ints:
    bias = _bias(fields)
    if bias is None:
        return np.zeros(prod(shape), np.int64)
    if bias.shape not in (shape[:1], shape[::-1]):
        detail = f"has shape {bias.shape}"
        raise fields.wrong("bias", detail, f"write {shape[:1]}, or (width, height, channels) = {shape[::-1]}")
    return channels_first(bias, shape)


def _per_neuron(fields: Fields, name: str, top: int, shape: Shape) -> Ints:
    values = fields.integers(name, 0, top)
    try:
        return channels_first(values, shape)
    except ValueError:
        raise fields.wrong(
            name, f"has shape {values.shape}", f"write one number, or as many as {shape[::-1]} takes"
        ) from None
