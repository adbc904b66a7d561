"""Builds our graph from a torch.fx graph whose values carry their shapes, one fx node at a time."""

from __future__ import annotations

import operator
from math import prod
from typing import Any, Literal

import numpy as np
import snntorch as snn
import torch
from torch import fx, nn

from .errors import ExportError
from .graph import Graph, HostFunction, HostStep, Identity, Input, Node, Output, Product, Select, Settings
from .linear import Shape
from .passes.spikes import fires
from .trace_functions import MOVES, MOVING_METHODS, MOVING_MODULES, POOLS, apply_node, moved, pool, scaled
from .trace_layers import SUPPORTED, layer, reshape, taps
from .trace_neurons import neuron, recurrence
from .trace_uses import TUPLE, goes_on, is_item

SHAPE = (
    "shape"  # where the shape of an fx node's value is noted, batch axis included; absent if it is no tensor
)
_RESHAPES = ("flatten", "reshape", "view", "unflatten")
_HOST_FUNCTIONS = ("tanh", "sigmoid")
_FUNCTION_NAMES = {
    torch.flatten: "flatten",
    torch.reshape: "reshape",
    torch.tanh: "tanh",
    torch.sigmoid: "sigmoid",
}


class GraphBuilder:
    """Walks a traced graph and builds ours.

    Attributes
    ----------
    names : dict
        Name of our node by fx node that gives its value.
    banned : dict
        Why an fx node's value may not be used, for those that have no name.
    """

    def __init__(
        self, root: nn.Module, name: str, coding: Literal["direct", "spikes"], timesteps: int
    ) -> None:
        self.root, self.name, self.coding = root, name, coding
        self.settings = Settings(timesteps=timesteps)
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.host_steps: list[HostStep] = []
        self.names: dict[fx.Node, str] = {}
        self.banned: dict[fx.Node, str] = {}
        self.states: dict[fx.Node, str] = {}  # membranes handed in, and the neuron that took each
        self.before: dict[fx.Node, str] = {}  # spikes of the step before, and the node that stands for each
        self.parts: dict[fx.Node, list[Select]] = {}  # results of a chunk or split
        self.calls: set[str] = set()
        self.paths: set[str] = set()

    def build(self, traced: fx.Graph) -> Graph:
        """The graph."""
        self.paths = {str(node.target).replace(".", "_") for node in traced.nodes if node.op == "call_module"}
        for node in traced.nodes:
            if (
                SHAPE not in node.meta
                and node.op in ("call_function", "call_method")
                and not node.meta.get(TUPLE)
            ):
                self.banned[node] = (
                    "is a number, not a value of the network"  # x.shape[0] on its way to a reshape
                )
                continue
            handler = getattr(self, f"_{node.op}")
            handler(node)
        return Graph(self.name, self.nodes, tuple(self.edges), self.settings, tuple(self.host_steps))

    def _shape(self, node: fx.Node) -> Shape:
        return tuple(node.meta[SHAPE][1:])

    def _source(self, value: Any, consumer: str) -> fx.Node:
        """An operand that must be a value of the network."""
        if not isinstance(value, fx.Node):
            raise ExportError(
                f"{consumer}: takes {value!r}, no value of the network; use a layer's bias or weights"
            )
        if value in self.states and not self.states[value] and SHAPE in value.meta:
            self._step_before(value, consumer)
        if value not in self.names:
            why = self.banned.get(value, "is no value of the network")
            raise ExportError(f"{consumer}: uses {value.name}, which {why}")
        return value

    def _step_before(self, value: fx.Node, consumer: str) -> None:
        """An argument that goes into a layer: what the step before handed back in its place."""
        name = self._free(value.name)
        shape = self._shape(value)
        self.nodes[name] = Select(shape, np.arange(prod(shape)), lag=1)
        self.names[value] = self.before[value] = name
        self.states[value] = consumer

    def _close_loops(self, returned: Any) -> None:
        """Connect each state argument that is used to the value returned in its place."""
        arguments = [*self.states]
        for value, name in self.before.items():
            position = arguments.index(value) + 1
            result = (
                returned[position]
                if isinstance(returned, tuple | list) and len(returned) > position
                else None
            )
            if not isinstance(result, fx.Node) or result not in self.names:
                raise ExportError(
                    f"{value.name}: argument {position + 1} of the step is fed back, but the step returns no spikes in "
                    f"place {position + 1}; return (output, *states) in the order of the arguments"
                )
            if self._shape(result) != self._shape(value):
                raise ExportError(
                    f"{value.name}: takes {self._shape(value)}, the step returns {self._shape(result)} in its place"
                )
            self.edges.append((self.names[result], name))

    def _add(self, node: fx.Node, name: str, built: Node, *inputs: fx.Node) -> None:
        while name in self.nodes:
            name += "_"
        self.nodes[name] = built
        self.edges += [(self.names[i], name) for i in inputs]
        self.names[node] = name

    def _free(self, name: str) -> str:
        """A name for a node of ours that no module has."""
        while name in self.paths:
            name += "_"
        return name

    def _placeholder(self, node: fx.Node) -> None:
        if any(isinstance(n, Input) for n in self.nodes.values()):
            self.banned[node] = (
                "is a second input; a network takes one, and else only membranes of its neurons"
            )
            self.states[node] = ""
            return
        self._add(node, self._free("input"), Input(self._shape(node), self.coding))

    def _output(self, node: fx.Node) -> None:
        value = node.args[0]
        self._close_loops(value)
        if isinstance(value, tuple | list) and value:
            value = value[0]
        if not isinstance(value, fx.Node):
            kind = type(value).__name__
            raise ExportError(
                f"{self.name}: returns a {kind}; return the output, or a tuple that starts with it"
            )
        self._add(node, self._free("output"), Output(self._shape(value)), self._source(value, "output"))

    def _get_attr(self, node: fx.Node) -> None:
        self.banned[node] = "is a tensor read directly; use a layer, or register it as one"

    def _call_module(self, node: fx.Node) -> None:
        path = str(node.target)
        module = self.root.get_submodule(path)
        name = path.replace(".", "_")
        if path in self.calls:
            raise ExportError(
                f"{path}: called more than once in a step; keep the time loop outside, a module for each use"
            )
        self.calls.add(path)
        if hasattr(module, "spikewright_product"):
            return self._product(node, False, name)
        states = ("spk", "mem") if isinstance(module, snn.RLeaky) else ("mem",)
        states = ("syn", "mem") if isinstance(module, snn.Synaptic) else states
        given = dict(zip(("input", *states), node.args, strict=False)) | node.kwargs
        current = given.pop("input", given.pop("input_", None))
        if isinstance(module, snn.SpikingNeuron):
            for state in states:
                self._state(path, given.pop(state, None))
        if given:
            raise ExportError(f"{path}: called with {', '.join(given)}; only its input is carried over")
        source = self._source(current, path)
        if isinstance(module, snn.SpikingNeuron):
            built = neuron(path, module, self._shape(node), self._reads_membrane(path, module, node))
            self._add(node, name, built, source)
            loop = recurrence(path, module, self._shape(node))
            if loop is not None:
                again = self._free(f"{name}_recurrent")
                self.nodes[again] = loop
                self.edges += [(self.names[node], again), (again, self.names[node])]
        elif isinstance(module, MOVING_MODULES):
            self._move(node, source, name)
        elif hasattr(module, "spikewright_host_step"):
            self._add(node, name, HostFunction(self._shape(node), str(module.spikewright_host_step)), source)
        elif hasattr(module, "spikewright_time_axis"):
            if not self._fires(source):
                raise ExportError(
                    f"{path}: looks back on {source.name}, which is no spike train; only spikes can be held back"
                )
            self._add(node, name, Identity(self._shape(node)))
            for index, tap in enumerate(taps(path, module, self._shape(source))):
                of = self._free(f"{name}_tap{index}")
                self.nodes[of] = tap
                self.edges += [(self.names[source], of), (of, self.names[node])]
        else:
            self._add(node, name, layer(path, module, self._shape(source), self._shape(node)), source)

    def _fires(self, value: fx.Node) -> bool:
        return fires(Graph(self.name, self.nodes, tuple(self.edges), self.settings), self.names[value])

    def _state(self, path: str, state: Any) -> None:
        """A membrane handed to a neuron: its own from the step before, or none."""
        if state is None:
            return
        if isinstance(state, fx.Node) and state.op == "get_attr":
            raise ExportError(
                f"{path}: starts each step from the membrane {state.target}, so it forgets between steps; "
                "hand its membrane in as an argument, or build it with init_hidden=True"
            )
        if not isinstance(state, fx.Node) or state not in self.states:
            raise ExportError(f"{path}: takes the membrane {state}; hand in its own from the step before")
        if self.states[state]:
            other = self.states[state]
            raise ExportError(f"{path}: shares the membrane {state} with {other}; give each neuron its own")
        self.states[state] = path

    def _reads_membrane(self, path: str, module: snn.SpikingNeuron, node: fx.Node) -> bool:
        """Whether the network goes on with the membrane; handing it back beside the output does not count."""
        pair = module.output or not module.init_hidden
        last = 2 if isinstance(module, snn.Synaptic) else 1
        if pair and module.reset_mechanism == "none" and any(user.op == "output" for user in node.users):
            return True  # a neuron that never resets and hands out both as the network's result is a read-out
        membranes = [user for user in node.users if is_item(user, last, last + 1)]
        for user in node.users:
            if last == 2 and is_item(user, 1, 3):
                self.banned[user] = f"is the synaptic current of {path}, which nothing can read"
        spikes = [node, *(user for user in node.users if is_item(user, 0))]
        reads = any(goes_on(m) for m in membranes)
        if reads and any(goes_on(s) for s in spikes):
            raise ExportError(
                f"{path}: both spikes and membrane are used; neurons send spikes, read-outs their membrane"
            )
        for value in spikes[1:] if reads else membranes:
            self.banned[value] = f"is not what {path} sends"
        return reads

    def _call_function(self, node: fx.Node) -> None:
        name = _FUNCTION_NAMES.get(node.target)  # type: ignore[arg-type]
        target: Any = node.target
        if target is operator.getitem and isinstance(node.args[0], fx.Node) and node.args[0] in self.parts:
            part = self.parts[node.args[0]][node.args[1]]  # type: ignore[index]
            self._add(node, self._free(node.name), part, self._source(node.args[0].args[0], node.name))
        elif (
            target is operator.getitem and isinstance(node.args[0], fx.Node) and node.args[0].meta.get(TUPLE)
        ):
            self._item(node)
        elif target in (operator.add, torch.add):
            self._addition(node)
        elif target in (operator.sub, torch.sub):
            self._subtraction(node)
        elif target in (operator.mul, torch.mul, operator.truediv, torch.div):
            self._product(node, target in (operator.truediv, torch.div))
        elif target in (torch.cat, torch.concat, torch.concatenate, torch.hstack):
            self._concatenation(node)
        elif target in MOVES:
            self._move(node, self._source(self._first(node), node.name), self._free(node.name))
        elif target in POOLS:
            self._pool(node, POOLS[target])
        elif name is not None:
            self._function(node, name)
        else:
            called = getattr(node.target, "__name__", node.target)
            raise ExportError(f"{node.name}: function {called} has no counterpart on the chip; {SUPPORTED}")

    def _item(self, node: fx.Node) -> None:
        source, index = node.args
        assert isinstance(source, fx.Node)
        if not isinstance(index, int):
            raise ExportError(
                f"{node.name}: indexes {source.name} by {index}; take one of its results by number"
            )
        if node not in self.banned:
            self.names[node] = self.names[source]

    def _addition(self, node: fx.Node) -> None:
        if len(node.args) != 2 or node.kwargs:
            raise ExportError(f"{node.name}: adds with {dict(node.kwargs)}; scale the weights instead")
        a, b = (self._source(value, node.name) for value in node.args)
        if self.names[a] == self.names[b]:
            raise ExportError(f"{node.name}: adds a value to itself; scale the weights instead")
        if not self._shape(a) == self._shape(b) == self._shape(node):
            raise ExportError(f"{node.name}: adds shapes {self._shape(a)}, {self._shape(b)}; make them equal")
        self._add(node, self._free(node.name), Identity(self._shape(node)), a, b)

    def _subtraction(self, node: fx.Node) -> None:
        a, b = (self._source(value, node.name) for value in node.args)
        if not self._shape(a) == self._shape(b) == self._shape(node):
            raise ExportError(
                f"{node.name}: subtracts shapes {self._shape(a)}, {self._shape(b)}; make them equal"
            )
        negative = self._free(f"{node.name}_negative")
        self.nodes[negative] = scaled(self._shape(b), -1.0)
        self.edges.append((self.names[b], negative))
        self._add(node, self._free(node.name), Identity(self._shape(node)), a)
        self.edges.append((negative, self.names[node]))

    def _product(self, node: fx.Node, divides: bool, name: str = "") -> None:
        """Spikes times spikes, or a value times a number; ``name`` is the node's instead of the traced one."""
        numbers = [v for v in node.args if isinstance(v, int | float)]
        values = [self._source(v, node.name) for v in node.args if not isinstance(v, int | float)]
        if numbers and len(values) == 1 and not (divides and values[0] is not node.args[0]):
            factor = 1 / numbers[0] if divides else numbers[0]
            self._add(node, self._free(node.name), scaled(self._shape(node), factor), values[0])
            return
        if divides or numbers or len(values) != 2:
            raise ExportError(f"{node.name}: divides by a value of the network, which no synapse can")
        a, b = values
        if not self._shape(a) == self._shape(b) == self._shape(node):
            raise ExportError(
                f"{node.name}: multiplies shapes {self._shape(a)}, {self._shape(b)}; make them equal"
            )
        if self.names[a] == self.names[b]:
            if not self._fires(a):
                raise ExportError(
                    f"{node.name}: squares {a.name}, which is no spike train; square spikes only"
                )
            # The square of a spike is the spike.
            self.names[node] = self.names[a]
            return
        self._add(node, name or self._free(node.name), Product(self._shape(node)), a, b)

    def _concatenation(self, node: fx.Node) -> None:
        """Each part is placed among zeros, and all are added."""
        tensors = node.args[0] if node.args else node.kwargs["tensors"]
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
        axis = 1 if node.target is torch.hstack else axis
        assert isinstance(tensors, tuple | list)
        assert isinstance(axis, int)
        whole = self._shape(node)
        axis = axis - 1 if axis > 0 else axis + len(whole)
        if not 0 <= axis < len(whole):
            raise ExportError(f"{node.name}: concatenates along the batch axis; use axis 1 or later")
        at, placed = 0, []
        for number, tensor in enumerate(tensors):
            source = self._source(tensor, node.name)
            shape = self._shape(source)
            index = np.full(whole, -1)
            rows = (slice(None),) * axis
            index[(*rows, slice(at, at + shape[axis]))] = np.arange(prod(shape)).reshape(shape)
            at += shape[axis]
            name = self._free(f"{node.name}_part{number}")
            self.nodes[name] = Select(whole, index.reshape(-1))
            self.edges.append((self.names[source], name))
            placed.append(name)
        self._add(node, self._free(node.name), Identity(whole))
        self.edges += [(name, self.names[node]) for name in placed]

    def _first(self, node: fx.Node) -> Any:
        return node.args[0] if node.args else node.kwargs.get("input", node.kwargs.get("self"))

    def _move(self, node: fx.Node, source: fx.Node, name: str) -> None:
        try:
            selections = moved(name, self._shape(source), lambda value: apply_node(node, self.root, value))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ExportError(f"{name}: cannot be followed ({error}); {SUPPORTED}") from error
        if node.meta.get(TUPLE):
            self.parts[node] = selections
        else:
            self._add(node, name, selections[0], source)

    def _pool(self, node: fx.Node, kind: str) -> None:
        source = self._source(self._first(node), node.name)
        more = ("dilation",) if kind == "max_pool" else ("ceil_mode", "count_include_pad")
        fields = ("kernel_size", "stride", "padding", *more)
        given = dict(zip(fields, node.args[1:], strict=False)) | dict(node.kwargs)
        self._add(
            node,
            self._free(node.name),
            pool(node.name, kind, self._shape(source), self._shape(node), given),
            source,
        )

    def _function(self, node: fx.Node, name: str) -> None:
        source = self._source(node.args[0] if node.args else node.kwargs.get("input"), node.name)
        if name in _RESHAPES:
            built: Node = reshape(node.name, self._shape(source), self._shape(node))
        else:
            built = HostFunction(self._shape(node), name)
        self._add(node, self._free(node.name), built, source)

    def _call_method(self, node: fx.Node) -> None:
        if node.target in MOVING_METHODS:
            self._move(node, self._source(self._first(node), node.name), self._free(node.name))
            return
        if node.target not in _RESHAPES + _HOST_FUNCTIONS:
            raise ExportError(
                f"{node.name}: method .{node.target}() has no counterpart on the chip; {SUPPORTED}"
            )
        self._function(node, str(node.target))
