"""Builds our graph from a torch.fx graph whose values carry their shapes, one fx node at a time."""

from __future__ import annotations

import operator
from typing import Any, Literal

import snntorch as snn
import torch
from torch import fx, nn

from .errors import ExportError
from .graph import Graph, HostFunction, HostStep, Identity, Input, Node, Output, Settings
from .linear import Shape
from .trace_layers import SUPPORTED, layer, reshape
from .trace_neurons import neuron

SHAPE = (
    "shape"  # where the shape of an fx node's value is noted, batch axis included; absent if it is no tensor
)
TUPLE = "tuple"  # whether the value is a tuple of tensors, as neurons return
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
        self.calls: set[str] = set()
        self.paths: set[str] = set()

    def build(self, traced: fx.Graph) -> Graph:
        """The graph."""
        self.paths = {str(node.target).replace(".", "_") for node in traced.nodes if node.op == "call_module"}
        for node in traced.nodes:
            if SHAPE not in node.meta and node.op in ("call_function", "call_method"):
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
        if value not in self.names:
            why = self.banned.get(value, "is no value of the network")
            raise ExportError(f"{consumer}: uses {value.name}, which {why}")
        return value

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
        given = dict(zip(("input", "mem"), node.args, strict=False)) | node.kwargs
        current = given.pop("input", given.pop("input_", None))
        if isinstance(module, snn.SpikingNeuron):
            self._state(path, given.pop("mem", None))
        if given:
            raise ExportError(f"{path}: called with {', '.join(given)}; only its input is carried over")
        source = self._source(current, path)
        if isinstance(module, snn.SpikingNeuron):
            self._add(
                node,
                name,
                neuron(path, module, self._shape(node), self._reads_membrane(path, module, node)),
                source,
            )
        elif hasattr(module, "spikewright_host_step"):
            self._add(node, name, HostFunction(self._shape(node), str(module.spikewright_host_step)), source)
        else:
            self._add(node, name, layer(path, module, self._shape(source), self._shape(node)), source)

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
        if pair and module.reset_mechanism == "none" and any(user.op == "output" for user in node.users):
            return True  # a neuron that never resets and hands out both as the network's result is a read-out
        membranes = [user for user in node.users if _is_item(user, 1)]
        spikes = [node, *(user for user in node.users if _is_item(user, 0))]
        reads = any(_goes_on(m) for m in membranes)
        if reads and any(_goes_on(s) for s in spikes):
            raise ExportError(
                f"{path}: both spikes and membrane are used; neurons send spikes, read-outs their membrane"
            )
        for value in spikes[1:] if reads else membranes:
            self.banned[value] = f"is not what {path} sends"
        return reads

    def _call_function(self, node: fx.Node) -> None:
        name = _FUNCTION_NAMES.get(node.target)  # type: ignore[arg-type]
        if node.target is operator.getitem:
            self._item(node)
        elif node.target in (operator.add, torch.add):
            self._addition(node)
        elif name is not None:
            self._function(node, name)
        else:
            called = getattr(node.target, "__name__", node.target)
            raise ExportError(f"{node.name}: function {called} has no counterpart on the chip; {SUPPORTED}")

    def _item(self, node: fx.Node) -> None:
        source, index = node.args
        assert isinstance(source, fx.Node)
        if not source.meta[TUPLE] or not (_is_item(node, 0) or _is_item(node, 1)):
            raise ExportError(
                f"{node.name}: indexes {source.name} by {index}; select inputs by a layer's weights"
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

    def _function(self, node: fx.Node, name: str) -> None:
        source = self._source(node.args[0] if node.args else node.kwargs.get("input"), node.name)
        if name in _RESHAPES:
            built: Node = reshape(node.name, self._shape(source), self._shape(node))
        else:
            built = HostFunction(self._shape(node), name)
        self._add(node, self._free(node.name), built, source)

    def _call_method(self, node: fx.Node) -> None:
        if node.target not in _RESHAPES + _HOST_FUNCTIONS:
            raise ExportError(
                f"{node.name}: method .{node.target}() has no counterpart on the chip; {SUPPORTED}"
            )
        self._function(node, str(node.target))


def _is_item(node: fx.Node, index: int) -> bool:
    picks = node.op == "call_function" and node.target is operator.getitem
    return picks and node.args[1] in (index, index - 2)


def _goes_on(value: fx.Node) -> bool:
    """Whether something uses a value, other than handing it back behind the network's output."""
    for user in value.users:
        if user.op == "output":
            returned = user.args[0]
            first = returned[0] if isinstance(returned, tuple | list) and returned else returned
            if first is value:
                return True
        elif not (_is_item(user, 0) or _is_item(user, 1)):
            return True
    return False
