"""NIR in forward Euler, written from its equations in plain numpy: the independent reading that files are held against.

One value a node and step, node by node, in float64. Nothing of the library is used. Conventions, as in the tools that
read NIR: an input reaches membrane and current in its own step; a spike resets in its own step; an edge back to the node
by which a loop is entered carries the value of the step before; before the first step nothing has fired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FIRING = ("IF", "LIF", "CubaLIF", "Threshold")
NEURONS = (*FIRING, "I", "LI", "CubaLI")
Node = dict[str, Any]


class Ambiguous(Exception):
    """NIR does not say what this graph does."""


@dataclass
class Run:
    """Spikes and membranes of each neuron node: (steps, neurons), and how near a membrane came to its threshold."""

    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    membranes: dict[str, np.ndarray] = field(default_factory=dict)
    margins: dict[str, np.ndarray] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def load(path: Path) -> Node:
    """A file as nested dictionaries."""

    def convert(item: Any) -> Any:
        if isinstance(item, h5py.Group):
            return {key: convert(value) for key, value in item.items() if key != "metadata"}
        if item is None:  # a link to nothing
            return None
        value = item[()]
        return value.decode() if isinstance(value, bytes) else value

    with h5py.File(path) as file:
        return convert(file["node"])


def flat(graph: Node, prefix: str = "") -> tuple[dict[str, Node], list[tuple[str, str]]]:
    """Nodes and edges with subgraphs opened; their inputs and outputs stay as nodes that pass values on."""
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    doors: dict[str, tuple[str, str]] = {}
    for key, node in graph["nodes"].items():
        name = prefix + key
        if node["type"] != "NIRGraph":
            nodes[name] = dict(node)
            if prefix and node["type"] in ("Input", "Output"):
                nodes[name]["type"] = "Pass"
            continue
        inner, joined = flat(node, f"{name}.")
        nodes |= inner
        edges += joined
        kinds = {
            kind: [k for k, n in node["nodes"].items() if n["type"] == kind] for kind in ("Input", "Output")
        }
        (entry,), (leave,) = kinds["Input"], kinds["Output"]
        doors[name] = (f"{name}.{entry}", f"{name}.{leave}")
    for pair in np.asarray(graph["edges"]).reshape(-1, 2):
        a, b = (prefix + (v.decode() if isinstance(v, bytes) else str(v)) for v in pair)
        edges.append((doors[a][1] if a in doors else a, doors[b][0] if b in doors else b))
    return nodes, edges


def closing(nodes: dict[str, Node], edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges to a node that lies on every way from the input to their source (natural loops, by dominators)."""
    before: dict[str, list[str]] = {n: [a for a, b in edges if b == n] for n in nodes}
    starts = {n for n, node in nodes.items() if node["type"] == "Input"}
    dominators = {n: {n} if n in starts else set(nodes) for n in nodes}
    changed = True
    while changed:
        changed = False
        for n in nodes:
            if n not in starts and before[n]:
                new = {n} | set.intersection(*(dominators[p] for p in before[n]))
                changed |= new != dominators[n]
                dominators[n] = new
    return {(a, b) for a, b in edges if b in dominators[a]}


def ordered(nodes: dict[str, Node], edges: list[tuple[str, str]]) -> list[str]:
    """Each node after what feeds it."""
    waiting, done = list(nodes), []
    while waiting:
        ready = [n for n in waiting if all(a in done for a, b in edges if b == n)]
        if not ready:
            raise Ambiguous(f"a loop through {waiting[0]} is entered at several nodes")
        done += ready
        waiting = [n for n in waiting if n not in ready]
    return done


def run(graph: Node, sample: np.ndarray, dt: float, reset: str = "zero", integrate: str = "impulse") -> Run:
    """All steps of one sample (steps, *shape)."""
    nodes, edges = flat(graph)
    back = closing(nodes, edges)
    order = ordered(nodes, [e for e in edges if e not in back])
    feeds = {n: [(a, (a, n) in back) for a, b in edges if b == n] for n in order}
    out = Run(order=[n for n in order if nodes[n]["type"] in NEURONS])
    rest: dict[str, np.ndarray] = {}
    for _ in range(3):  # once more for every linear node that a loop feeds
        rest = _pass(nodes, order, feeds, rest, lambda name, x: _silent(nodes[name], x))
    cells: dict[str, Cell] = {}
    for name in order:
        if nodes[name]["type"] in NEURONS:
            cells[name] = Cell(nodes[name], rest[name].shape, dt, reset, integrate)
            out.spikes[name] = np.zeros((len(sample), cells[name].v.size))
    held = {n: Line(nodes[n], rest[n], dt) for n in order if nodes[n]["type"] == "Delay"}
    before = rest
    for t in range(len(sample)):

        def step(name: str, x: np.ndarray | None, t: int = t) -> np.ndarray:
            if nodes[name]["type"] == "Input":
                return sample[t].reshape(rest[name].shape).astype(float)
            assert x is not None
            if name in cells:
                return cells[name].step(x)
            return held[name].step(x) if name in held else _linear(nodes[name], x)

        before = _pass(nodes, order, feeds, before, step)
        for name in cells:
            out.spikes[name][t] = before[name].reshape(-1)
    for name, cell in cells.items():
        out.membranes[name], out.margins[name] = np.array(cell.seen), np.array(cell.margins)
    return out


def _pass(
    nodes: Any, order: Any, feeds: Any, before: dict[str, np.ndarray], step: Any
) -> dict[str, np.ndarray]:
    """The values of a step; edges that close a loop carry those of the step before."""
    now: dict[str, np.ndarray] = {}
    for name in order:
        given = [before.get(a) if late else now[a] for a, late in feeds[name]]
        known = [value for value in given if value is not None]
        now[name] = step(name, _sum(known) if known else None)
    return now


def _silent(node: Node, x: np.ndarray | None) -> np.ndarray:
    """What a node gives while nothing fires."""
    if node["type"] == "Input":
        return np.zeros(tuple(int(n) for n in np.ravel(node["shape"])))
    assert x is not None
    if node["type"] in NEURONS:
        return np.zeros(x.shape)
    return x if node["type"] == "Delay" else _linear(node, x)


class Line:
    """What a delay holds back."""

    def __init__(self, node: Node, rest: np.ndarray, dt: float) -> None:
        seconds = np.asarray(node["delay"], float)
        whole = (
            seconds.reshape(rest.shape) if seconds.size == rest.size else np.broadcast_to(seconds, rest.shape)
        )
        self.steps, self.arrived = np.rint(whole / dt).astype(int).reshape(-1), [rest.reshape(-1)]

    def step(self, x: np.ndarray) -> np.ndarray:
        self.arrived.append(x.reshape(-1))
        index = np.maximum(len(self.arrived) - 1 - self.steps, 0)
        return np.array([self.arrived[k][n] for n, k in enumerate(index)]).reshape(x.shape)


def _sum(values: list[np.ndarray]) -> np.ndarray:
    shape = max((value.shape for value in values), key=len)
    return sum((value.reshape(shape) for value in values), np.zeros(shape))


class Cell:
    """A population: its equations and its state."""

    def __init__(self, node: Node, shape: tuple[int, ...], dt: float, reset: str, integrate: str) -> None:
        self.kind, self.reset, self.dt = node["type"], reset, dt
        self.due: np.ndarray | float = 0.0
        for key in (
            "tau",
            "tau_syn",
            "tau_mem",
            "r",
            "v_leak",
            "v_threshold",
            "v_reset",
            "w_in",
            "threshold",
        ):
            default = {"w_in": 1.0}.get(key, 0.0)
            value = np.asarray(node.get(key, default), float)
            setattr(
                self,
                key,
                value.reshape(shape)
                if value.size == np.prod(shape)
                else np.broadcast_to(value.reshape(-1) if value.size == 1 else value, shape),
            )
        self.v = np.array(self.v_leak)
        self.i = np.zeros(shape)
        self.width = 1.0 if integrate == "impulse" else dt
        self.seen: list[np.ndarray] = []
        self.margins: list[np.ndarray] = []

    def step(self, x: np.ndarray) -> np.ndarray:
        """One step of forward Euler; returns spikes, or zeros from those that never fire."""
        if self.kind == "Threshold":
            self.seen.append(x.reshape(-1).copy())
            self.margins.append((np.abs(x - self.threshold) / self.threshold).reshape(-1))
            return (x > self.threshold).astype(float)
        if self.kind in ("I", "IF"):
            self.v = self.v + self.width * self.r * x
        elif self.kind in ("LI", "LIF"):
            self.v = self.v + self.dt / self.tau * (self.v_leak - self.v + self.r * x)
        else:
            self.i = self.i + self.dt / self.tau_syn * (-self.i + self.w_in * x)
            self.v = self.v + self.dt / self.tau_mem * (self.v_leak - self.v + self.r * self.i)
        if self.reset == "subtract-delayed":
            self.v = self.v - self.due
        self.seen.append(self.v.reshape(-1).copy())
        if self.kind not in FIRING:
            self.margins.append(np.full(self.v.size, np.inf))
            return np.zeros(self.v.shape)
        spikes = self.v > self.v_threshold
        room = np.abs(self.v_threshold - self.v_leak)
        self.margins.append((np.abs(self.v - self.v_threshold) / room).reshape(-1))
        after = self.v_reset if self.reset == "zero" else self.v - self.v_threshold
        if self.reset == "subtract-delayed":
            self.due = np.where(spikes, self.v_threshold, 0.0)
        else:
            self.v = np.where(spikes, after, self.v)
        return spikes.astype(float)


def _linear(node: Node, x: np.ndarray) -> np.ndarray:
    kind = node["type"]
    if kind in ("Pass", "Output"):
        return x
    if kind == "Scale":
        scale = np.asarray(node["scale"], float)
        return x * (scale.reshape(x.shape) if scale.size == x.size else scale)
    if kind == "Flatten":
        first, last = (int(np.ravel(node.get(k, d))[0]) for k, d in (("start_dim", 1), ("end_dim", -1)))
        first, last = first % x.ndim, last % x.ndim
        return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])
    if kind in ("Affine", "Linear"):
        weight = np.asarray(node["weight"], float)
        y = x @ weight.T if x.shape[-1] == weight.shape[1] else weight @ x.reshape(-1)
        return y + np.asarray(node.get("bias", 0.0), float)
    if kind in ("SumPool2d", "AvgPool2d"):
        size = _pair(node["kernel_size"], 2)
        one = np.ones((1, 1, *size)) / (np.prod(size) if kind == "AvgPool2d" else 1)
        planes = [
            _convolve(c[None], one, _pair(node["stride"], 2), _pair(node["padding"], 2), (1, 1)) for c in x
        ]
        return np.concatenate(planes)
    if kind in ("Conv1d", "Conv2d"):
        return _convolution(node, x, 1 if kind == "Conv1d" else 2)
    raise NotImplementedError(kind)


def _convolution(node: Node, x: np.ndarray, axes: int) -> np.ndarray:
    weight, groups = np.asarray(node["weight"], float), int(np.ravel(node["groups"])[0])
    stride, dilation = _pair(node["stride"], axes), _pair(node["dilation"], axes)
    if isinstance(node["padding"], str):
        same = node["padding"] == "same"
        padding = tuple(
            d * (k - 1) // 2 if same else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)
        )
    else:
        padding = _pair(node["padding"], axes)
    parts = zip(np.split(x, groups), np.split(weight, groups), strict=True)
    y = np.concatenate([_convolve(a, w, stride, padding, dilation) for a, w in parts])
    bias = np.asarray(node["bias"], float).reshape(-1)
    return y + bias.reshape(-1, *[1] * axes)


def _convolve(x: np.ndarray, w: np.ndarray, stride: Any, padding: Any, dilation: Any) -> np.ndarray:
    """Cross-correlation, output by output."""
    padded = np.pad(x, [(0, 0), *((p, p) for p in padding)])
    sides = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[1:], w.shape[2:], stride, dilation, strict=True)
    ]
    y = np.zeros((len(w), *sides))
    for at in np.ndindex(*sides):
        taps = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(at, stride, dilation, w.shape[2:], strict=True)
        )
        y[(slice(None), *at)] = np.tensordot(w, padded[(slice(None), *taps)], w.ndim - 1)
    return y


def _pair(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.broadcast_to(np.ravel(value), (axes,)))


def nodes_of(graph: Node) -> Iterator[tuple[str, Node]]:
    """Every node, subgraphs opened."""
    yield from flat(graph)[0].items()
