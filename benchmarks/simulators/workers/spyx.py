"""Spyx: a model stepped by ``spyx.nn.run`` under ``jax.jit``; compiling is not timed.

Spyx's own LIF subtracts its threshold in the step after the spike. Its documentation asks new neurons for
``initial_state`` and ``__call__(x, state)``; the one here is such a neuron with the reset to zero that the network has.
Values are channels last, as flax convolves them.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spyx
import spyx.nn
from flax import nnx
from numpy.typing import NDArray

from .network import INPUT, Layer, Network
from .protocol import serve
from .static import split_static

Value = Any


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with its channels last."""
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


class LIF(nnx.Module):
    """``v = beta v + x``, a spike where it exceeds the threshold, then ``v = 0``."""

    def __init__(self, shape: tuple[int, ...], beta: float, threshold: float) -> None:
        self.hidden_shape, self.beta, self.threshold = shape, beta, threshold
        self.spike = spyx.axn.superspike()

    def __call__(self, x: Value, v: Value) -> tuple[Value, Value]:
        """One step."""
        v = self.beta * v + x
        spikes = self.spike(v - self.threshold)
        return spikes, v * (1 - spikes)

    def initial_state(self, batch_size: int) -> Value:
        """Rest."""
        return jnp.zeros((batch_size, *self.hidden_shape))


def _conv(layer: Layer) -> nnx.Module:
    assert layer.weight is not None
    rngs, bias = nnx.Rngs(0), layer.bias is not None
    kernel: NDArray[Any]
    if layer.kind == "conv":
        kernel = layer.weight.transpose(2, 3, 1, 0)
        module: Any = nnx.Conv(
            *kernel.shape[2:], kernel.shape[:2], layer.stride, padding=layer.padding, use_bias=bias, rngs=rngs
        )
    else:
        kernel = layer.weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
        low = kernel.shape[0] - 1 - layer.padding
        sides = (low, low + layer.output_padding)
        module = nnx.ConvTranspose(
            *kernel.shape[2:],
            kernel.shape[:2],
            layer.stride,
            padding=(sides, sides),
            use_bias=bias,
            rngs=rngs,
        )
    module.kernel[...] = jnp.asarray(np.ascontiguousarray(kernel))
    if layer.bias is not None:
        module.bias[...] = jnp.asarray(layer.bias)
    return module  # type: ignore[no-any-return]


def _linear(layer: Layer, network: Network) -> nnx.Module:
    assert layer.weight is not None
    weight, bias = layer.weight, layer.bias
    before = _before_flatten(network, layer.inputs[0])
    if len(before) == 3:  # the flattened axes come channels last
        weight = weight.reshape(-1, *before).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    after = _after_unflatten(network, layer.name)
    if len(after) == 3:
        weight = weight.reshape(*after, -1).transpose(1, 2, 0, 3).reshape(len(weight), -1)
        bias = None if bias is None else bias.reshape(after).transpose(1, 2, 0).reshape(-1)
    module = nnx.Linear(weight.shape[1], weight.shape[0], use_bias=bias is not None, rngs=nnx.Rngs(0))
    module.kernel[...] = jnp.asarray(weight.T)
    if bias is not None:
        module.bias[...] = jnp.asarray(bias)
    return module


def _before_flatten(network: Network, name: str) -> tuple[int, ...]:
    if name != INPUT and network.layer(name).kind == "flatten":
        return network.shape_of(network.layer(name).inputs[0])
    return ()


def _after_unflatten(network: Network, name: str) -> tuple[int, ...]:
    return next((x.shape for x in network.layers if x.kind == "unflatten" and name in x.inputs), ())


def _make(layer: Layer, network: Network) -> nnx.Module | None:
    if layer.kind == "lif":
        return LIF(_last(layer.shape), layer.beta, layer.threshold)
    if layer.kind == "readout":
        return spyx.nn.LI(_last(layer.shape), layer.beta, rngs=nnx.Rngs(0))  # type: ignore[no-any-return]
    if layer.kind == "linear":
        return _linear(layer, network)
    if layer.kind == "pool":
        return spyx.nn.SumPool(layer.size, layer.size, "VALID")  # type: ignore[no-any-return]
    return _conv(layer) if layer.kind in ("conv", "transposed") else None


class Model(nnx.Module):
    """One step of a network, with the states of its neurons handed in and out."""

    def __init__(self, network: Network, whole: Network) -> None:
        self.plan = tuple((x.name, x.kind, x.inputs, _last(x.shape)) for x in network.layers)
        self.parts = nnx.data({x.name: m for x in network.layers if (m := _make(x, whole)) is not None})

    def initial_state(self, batch_size: int) -> dict[str, Value]:
        """Rest."""
        kinds = {name: kind for name, kind, _, _ in self.plan}
        return {
            name: part.initial_state(batch_size)
            for name, part in self.parts.items()
            if kinds[name] in ("lif", "readout")
        }

    def __call__(self, x: Value, state: dict[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Outputs of all layers; jit drops those that nobody asks for."""
        values, after = {INPUT: x}, {}
        for name, kind, inputs, shape in self.plan:
            given = [values[source] for source in inputs]
            if kind == "add":
                values[name] = sum(given[1:], given[0])
            elif kind in ("flatten", "unflatten"):
                values[name] = given[0].reshape(len(given[0]), *shape)
            elif name in state:
                values[name], after[name] = self.parts[name](given[0], state[name])
            else:
                values[name] = self.parts[name](given[0])
        return values, after


class Spyx:
    """One network."""

    def __init__(self, network: Network, inputs: NDArray[Any]) -> None:
        self.whole, self.steps = network, network.steps
        x = np.moveaxis(inputs, -3, -1) if len(network.input_shape) == 3 else inputs
        x = np.ascontiguousarray(x, np.float32)
        self.direct = network.coding == "direct"
        self.inputs = x if self.direct else np.ascontiguousarray(x.swapaxes(0, 1))
        static: nnx.Module | None = None
        if self.direct:
            first, network = split_static(network)
            static = _conv(first)
        self.network = network
        # As flax advises for speed: taken apart once, so that a call hands plain arrays to jax.
        self.graph, self.state = nnx.split((Model(network, self.whole), static))
        self.given: dict[int, Value] = {}
        self.forward = jax.jit(partial(self._sequence, counted=False))
        self.counting = jax.jit(partial(self._sequence, counted=True))

    def _sequence(self, state: Value, x: Value, counted: bool) -> Value:
        model, static = nnx.merge(self.graph, state)
        if static is not None:
            current = static(x)
            x = jnp.broadcast_to(current, (self.steps, *current.shape))
        wanted = {x.name for x in self.network.spiking} if counted else {self.network.layers[-1].name}

        def step(carry: Value, x_t: Value) -> tuple[Value, Value]:
            values, after = model(x_t, carry)
            return {name: values[name] for name in wanted}, after

        # ``run`` takes anything that maps (x, state) to (output, state).
        batch = x.shape[1]
        outputs, _ = spyx.nn.run(lambda x_t, carry: step(carry, x_t), x, model.initial_state(batch))
        return {name: value.sum(0) for name, value in outputs.items()} if counted else outputs

    def _given(self, batch: int) -> Value:
        if batch not in self.given:
            x = self.inputs[:batch] if self.direct else self.inputs[:, :batch]
            self.given = {batch: jax.device_put(np.ascontiguousarray(x))}
        return self.given[batch]

    def run(self, batch: int) -> Value:
        """All steps."""
        return jax.block_until_ready(self.forward(self.state, self._given(batch)))

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron, channels first again."""
        counts = self.counting(self.state, self._given(batch))
        out = {}
        for layer in self.network.spiking:
            value = np.asarray(counts[layer.name])
            value = np.moveaxis(value, -1, 1) if value.ndim == 4 else value
            out[layer.name] = value.reshape(batch, -1)
        return out


if __name__ == "__main__":
    serve(version("spyx"), Spyx)
