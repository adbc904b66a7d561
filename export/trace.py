"""From a torch module to the traced graph, through ``torch.fx`` with snnTorch neurons as leaves.

The module computes one time step. snnTorch's own exporter crashes on batch normalisation and transposed convolutions
and drops the reset kind without a word; here whatever cannot be carried over is an error that names it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any, Literal

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from .errors import ExportError
from .graph import LI, LIF, BatchNorm, Graph, HostFunction, HostStep, Identity, Input, Node, Output, Reshape, Settings, Synapses
from .linear import Conv2d, ConvTranspose2d, Dense, Shape


class _Tracer(fx.Tracer):
    """Treats snnTorch neurons, and modules that declare themselves a host step, as leaves."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.traced_func_name = method

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Leaves: neurons, declared host steps, torch's own layers."""
        return (
            isinstance(m, snn.SpikingNeuron)
            or hasattr(m, "spikewright_host_step")
            or super().is_leaf_module(m, module_qualified_name)
        )


def trace(
    module: nn.Module,
    sample: Tensor,
    *,
    timesteps: int,
    coding: Literal["direct", "spikes"],
    name: str = "network",
    method: str = "forward",
) -> Graph:
    """Trace one time step of a network of snnTorch neurons.

    Parameters
    ----------
    module : nn.Module
        Its ``method`` takes one input (N, ...) and computes one time step; neurons keep their own state
        (``init_hidden=True``) or take and return it.
    sample : Tensor
        One input without batch axis.
    timesteps : int
        Steps of a sample.
    coding : str
        ``direct``: the same real values at every step; ``spikes``: 0/1 at each step.

    Returns
    -------
    Graph
        Level *traced*: see :mod:`spikewright.export.levels`.

    Raises
    ------
    ExportError
        A module, function or neuron setting that has no counterpart; the message names it and the remedy.
    """
    if timesteps < 1:
        raise ExportError(f"{name}: timesteps is {timesteps}; a sample takes at least one step")
    _check_finite(module, name)
    was_training = module.training
    module.eval()
    try:
        try:
            traced = _Tracer(method).trace(module)
        except (fx.proxy.TraceError, TypeError) as error:
            raise ExportError(
                f"{name}: `{method}` cannot be traced ({error}); it must compute one time step without branching on values"
            ) from error
        graph_module = fx.GraphModule(module, traced)
        _reset_states(module)
        try:
            with torch.no_grad():
                ShapeProp(graph_module).propagate(sample[None])
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{name}: a sample of shape {tuple(sample.shape)} does not pass ({_first_line(error)})") from error
        finally:
            _reset_states(module)
        return _Builder(module, name, coding, timesteps).build(traced)
    finally:
        module.train(was_training)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _reset_states(module: nn.Module) -> None:
    for child in module.modules():
        if hasattr(child, "reset_mem"):
            child.reset_mem()


def _check_finite(module: nn.Module, name: str) -> None:
    for key, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise ExportError(f"{name}: {key} holds {bad} NaN or infinite values; the training run diverged")


class _Builder:
    """Walks a traced graph and builds ours, one fx node at a time."""

    def __init__(self, root: nn.Module, name: str, coding: Literal["direct", "spikes"], timesteps: int) -> None:
        self.root, self.name, self.coding = root, name, coding
        self.settings = Settings(timesteps=timesteps)
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.host_steps: list[HostStep] = []
        self.names: dict[fx.Node, str] = {}
        self.calls: dict[str, int] = {}
        self.taken: dict[str, int] = {}  # which output of a neuron is used: 0 spikes, 1 membrane

    def build(self, traced: fx.Graph) -> Graph:
        for node in traced.nodes:
            handler = getattr(self, f"_{node.op}")
            handler(node)
        return Graph(self.name, self.nodes, tuple(self.edges), self.settings, tuple(self.host_steps))

    def _shape(self, node: fx.Node) -> Shape:
        meta = node.meta["tensor_meta"]
        while not hasattr(meta, "shape"):  # a neuron that returns (spikes, membrane)
            meta = meta[0]
        return tuple(int(n) for n in meta.shape[1:])

    def _add(self, node: fx.Node, name: str, built: Node, *inputs: Any) -> None:
        self.nodes[name] = built
        self.edges += [(self.names[i], name) for i in inputs]
        self.names[node] = name

    def _placeholder(self, node: fx.Node) -> None:
        if any(isinstance(n, Input) for n in self.nodes.values()):
            if node.users:
                self.names[node] = ""  # a state handed in; it starts at zero on the chip
            return
        self._add(node, "input", Input(self._shape(node), self.coding))

    def _output(self, node: fx.Node) -> None:
        value = node.args[0]
        if isinstance(value, tuple | list):
            value = value[0]
        assert isinstance(value, fx.Node)
        self._add(node, "output", Output(self._shape(value)), value)

    def _get_attr(self, node: fx.Node) -> None:
        raise ExportError(f"{self.name}: reads the tensor {node.target!r} directly; use a layer, or register it as one")

    def _call_module(self, node: fx.Node) -> None:
        path = str(node.target)
        module = self.root.get_submodule(path)
        name = path.replace(".", "_")
        self.calls[path] = self.calls.get(path, 0) + 1
        if self.calls[path] > 1:
            raise ExportError(
                f"{path}: called more than once in a step; keep the time loop outside, and give each use its own module"
            )
        source = node.args[0]
        if isinstance(module, snn.SpikingNeuron):
            self._add(node, name, self._neuron(path, module, node), source)
            return
        if hasattr(module, "spikewright_host_step"):
            self._add(node, name, HostFunction(self._shape(node), str(module.spikewright_host_step)), source)
            return
        assert isinstance(source, fx.Node)
        built = _layer(path, module, self._shape(source), self._shape(node))
        self._add(node, name, built, source)

    def _neuron(self, path: str, module: snn.SpikingNeuron, node: fx.Node) -> LIF | LI:
        membrane = any(self._is_getitem(user, 1) and user.users for user in node.users)
        # A state handed back to the caller or fed to the next step is no read-out; the network's first output is.
        reads_membrane = membrane and not any(self._is_getitem(user, 0) and user.users for user in node.users)
        reads_membrane = reads_membrane and bool(node.users)
        shape = self._shape(node)
        if type(module).__mro__[0] is not snn.Leaky and not isinstance(module, snn.Leaky):
            raise ExportError(f"{path}: {type(module).__name__} neurons are not supported; supported: snn.Leaky")
        beta = module.beta.detach().clamp(0, 1).cpu().numpy()
        if beta.size != 1 and np.ptp(beta) != 0:
            raise ExportError(f"{path}: beta differs between neurons; populations share one decay register")
        for field, neutral in (("graded_spikes_factor", 1.0), ("inhibition", False), ("state_quant", False)):
            value = getattr(module, field)
            value = float(value) if isinstance(value, Tensor) else value
            if value != neutral:
                raise ExportError(f"{path}: {field} is {value}; only {neutral} maps to the chip's neuron")
        reset = module.reset_mechanism
        if reads_membrane:
            if reset != "none":
                raise ExportError(
                    f"{path}: its membrane is read out but reset_mechanism is {reset!r}; use reset_mechanism='none'"
                )
            return LI(shape, float(beta.flat[0]))
        if reset != "zero":
            raise ExportError(
                f"{path}: reset_mechanism is {reset!r}; the chip's neuron resets to zero: train with reset_mechanism='zero'"
            )
        threshold = module.threshold.detach().cpu().numpy().astype(np.float32).reshape(-1)
        if threshold.size not in (1, prod(shape)):
            raise ExportError(f"{path}: {threshold.size} thresholds for {prod(shape)} neurons; give one, or one a neuron")
        if (threshold <= 0).any():
            raise ExportError(f"{path}: threshold {threshold.min()} is not above zero")
        return LIF(shape, float(beta.flat[0]), threshold)

    @staticmethod
    def _is_getitem(node: fx.Node, index: int) -> bool:
        return node.op == "call_function" and node.target is operator.getitem and node.args[1] == index

    def _call_function(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            self.names[node] = self.names[node.args[0]]  # type: ignore[index]
        elif node.target in (operator.add, torch.add) and all(isinstance(a, fx.Node) for a in node.args):
            if node.args[0] is node.args[1]:
                raise ExportError(f"{node.name}: adds a value to itself; scale the weights instead")
            self._add(node, node.name, Identity(self._shape(node)), *node.args)
        elif node.target in (torch.tanh, torch.sigmoid):
            kind = "tanh" if node.target is torch.tanh else "sigmoid"
            self._add(node, node.name, HostFunction(self._shape(node), kind), node.args[0])
        elif node.target is torch.flatten:
            self._add(node, node.name, Reshape(self._shape(node)), node.args[0])
        else:
            raise ExportError(f"{node.name}: the function {node.target} has no counterpart on the chip; {SUPPORTED}")

    def _call_method(self, node: fx.Node) -> None:
        if node.target not in ("flatten", "reshape", "view", "unflatten"):
            raise ExportError(f"{node.name}: the method .{node.target}() has no counterpart on the chip; {SUPPORTED}")
        source = node.args[0]
        assert isinstance(source, fx.Node)
        if prod(self._shape(node)) != prod(self._shape(source)):
            raise ExportError(f"{node.name}: .{node.target}() mixes samples of a batch")
        self._add(node, node.name, Reshape(self._shape(node)), source)


def _array(value: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return value.detach().cpu().numpy().astype(np.float32)


def _bias(module: Any) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    return None if module.bias is None else _array(module.bias)


def _pair(path: str, field: str, value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        raise ExportError(f"{path}: {field}={value!r}; write the numbers out")
    return (int(value[0]), int(value[1]))


def _linear(path: str, module: nn.Linear, source: Shape, target: Shape) -> Node:
    if len(source) != 1:
        raise ExportError(f"{path}: nn.Linear over an input of shape {source}; flatten it first")
    return Synapses(Dense(_array(module.weight), source, target), _bias(module))


def _conv(path: str, module: nn.Conv2d, source: Shape, target: Shape) -> Node:
    if module.padding_mode != "zeros":
        raise ExportError(f"{path}: padding_mode={module.padding_mode!r}; only zeros")
    settings = [_pair(path, f, getattr(module, f)) for f in ("stride", "padding", "dilation")]
    return Synapses(Conv2d(_array(module.weight), source, *settings, module.groups), _bias(module))


def _conv_transpose(path: str, module: nn.ConvTranspose2d, source: Shape, target: Shape) -> Node:
    if module.groups != 1:
        raise ExportError(f"{path}: grouped transposed convolutions are not supported")
    settings = [_pair(path, f, getattr(module, f)) for f in ("stride", "padding", "output_padding", "dilation")]
    return Synapses(ConvTranspose2d(_array(module.weight), source, *settings), _bias(module))


def _batch_norm(path: str, module: Any, source: Shape, target: Shape) -> Node:
    if module.running_mean is None:
        raise ExportError(f"{path}: batch normalisation without running statistics cannot be folded")
    weight = torch.ones_like(module.running_mean) if module.weight is None else module.weight
    bias = torch.zeros_like(module.running_mean) if module.bias is None else module.bias
    arrays = [_array(a) for a in (weight, bias, module.running_mean, module.running_var)]
    return BatchNorm(target, *arrays, float(module.eps))


_LAYERS: dict[type[nn.Module], Callable[..., Node]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv_transpose,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Flatten: lambda path, module, source, target: Reshape(target),
    nn.Unflatten: lambda path, module, source, target: Reshape(target),
    nn.Identity: lambda path, module, source, target: Identity(target),
    nn.Dropout: lambda path, module, source, target: Identity(target),
    nn.Tanh: lambda path, module, source, target: HostFunction(target, "tanh"),
    nn.Sigmoid: lambda path, module, source, target: HostFunction(target, "sigmoid"),
}
SUPPORTED = "supported: snn.Leaky, " + ", ".join(f"nn.{cls.__name__}" for cls in _LAYERS) + ", +, flatten, reshape, tanh"


def _layer(path: str, module: nn.Module, source: Shape, target: Shape) -> Node:
    build = _LAYERS.get(type(module))
    if build is None:
        raise ExportError(f"{path}: {type(module).__name__} has no counterpart on the chip; {SUPPORTED}")
    return build(path, module, source, target)
