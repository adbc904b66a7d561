"""Random NIR graphs of all primitives, as nested dictionaries and as files that h5py writes."""

from __future__ import annotations

import itertools
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

DT = 1e-4
Node = dict[str, Any]


def write(path: Path, graph: Node, version: str = "1.0.8") -> Path:
    """A file as NIR lays it out, whatever it holds."""

    def put(group: h5py.Group, node: Node) -> None:
        for key, value in node.items():
            if key == "edges":
                group[key] = np.array(value, dtype=h5py.string_dtype()).reshape(-1, 2)
            elif isinstance(value, dict):
                put(group.create_group(key), value)
            else:
                group[key] = value

    with h5py.File(path, "w") as file:
        file["version"] = version
        put(file.create_group("node"), graph)
    return path


def chain(*nodes: tuple[str, Node], more: list[tuple[str, str]] | None = None, **metadata: Any) -> Node:
    """Nodes one after another."""
    names = [name for name, _ in nodes]
    graph: Node = {
        "type": "NIRGraph",
        "nodes": dict(nodes),
        "edges": [*itertools.pairwise(names), *(more or [])],
    }
    return {**graph, "metadata": metadata} if metadata else graph


def enter(*shape: int) -> tuple[str, Node]:
    return "input", {"type": "Input", "shape": np.array(shape)}


def leave(*shape: int) -> tuple[str, Node]:
    return "output", {"type": "Output", "shape": np.array(shape)}


class Maker:
    """Draws a graph: structure from a hypothesis-managed generator, numbers from numpy's."""

    def __init__(self, random: Random, reset: str) -> None:
        self.random, self.reset = random, reset
        self.numbers = np.random.default_rng(random.randrange(1 << 30))
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []
        self.count = 0

    def one_of(self, *options: Any) -> Any:
        return options[self.random.randrange(len(options))]

    def add(self, kind: str, sources: list[str], **fields: Any) -> str:
        # Files are read in alphabetical order, which must not matter.
        name = f"{self.one_of('a', 'k', 'z')}{self.count}_{kind.lower()}"
        self.count += 1
        self.nodes[name] = {"type": kind, **fields}
        self.edges += [(s, name) for s in sources]
        return name

    def graph(self) -> tuple[Node, tuple[int, ...]]:
        shape = self.one_of(
            (self.random.randint(1, 6),),
            (2, self.random.randint(4, 9)),
            (2, 6, self.random.randint(5, 8)),
            (1, 5, self.random.randint(3, 6)),
        )
        at = self.add("Input", [], shape=np.array(shape))
        points = [(at, shape)]
        for index in range(self.random.randint(1, 3)):
            at, now = points[-1]
            at, now = self.linear(at, now, self.random.randint(1, 2))
            feeds = [at]
            if index and self.random.random() < 0.4:  # a branch from further back
                feeds.append(self.skip(*self.one_of(*points), now))
            at = self.population(
                feeds, now, self.one_of("IF", "LIF", "LIF", "CubaLIF", "CubaLIF", "Threshold")
            )
            if self.random.random() < 0.35:
                self.recur(at, now, feeds[0])
            points.append((at, now))
        at, now = points[-1]
        if self.random.random() < 0.4:
            at, now = self.linear(at, now, 1)
            at = self.population([at], now, self.one_of("I", "LI", "CubaLI"))
        self.add("Output", [at], shape=np.array(now))
        return {"type": "NIRGraph", "nodes": self.nodes, "edges": self.edges}, shape

    def linear(self, at: str, shape: tuple[int, ...], layers: int) -> tuple[str, tuple[int, ...]]:
        for _ in range(layers):
            options = ["Affine", "Linear", "Scale", "Delay", "Nested"]
            if len(shape) == 2 and shape[1] >= 3:
                options += ["Conv1d", "Conv1d", "Rows"]
            if len(shape) == 3 and min(shape[1:]) >= 3:
                options += ["Conv2d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"]
            at, shape = getattr(self, f"_{self.one_of(*options).lower()}")(at, shape)
        if self.nodes[at]["type"] in ("Input", "IF", "LIF", "CubaLIF", "Threshold"):
            at, shape = self._affine(at, shape)
        return at, shape

    def skip(self, at: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        if shape == wanted:
            return self._scale(at, shape)[0]
        at = self._flat(at, shape)
        at = self.add("Linear", [at], weight=self.weights(prod(wanted), prod(shape)))
        return at

    def recur(self, at: str, shape: tuple[int, ...], header: str) -> None:
        flat = self._flat(at, shape)
        bias = {"bias": self.numbers.normal(0, 0.2, prod(shape))} if self.random.random() < 0.5 else {}
        back = self.add(
            "Affine" if bias else "Linear", [flat], weight=self.weights(prod(shape), prod(shape)), **bias
        )
        if self.random.random() < 0.3:
            back = self._delay(back, (prod(shape),))[0]
        self.edges.append((back, at))

    def weights(self, outputs: int, *inputs: int) -> np.ndarray:
        weight = self.numbers.normal(0, 1, (outputs, *inputs)) / np.sqrt(prod(inputs)) + 0.3 / np.sqrt(
            prod(inputs)
        )
        return weight.astype(self.one_of(np.float32, np.float64))

    def _flat(self, at: str, shape: tuple[int, ...]) -> str:
        if len(shape) == 1:
            return at
        return self.add("Flatten", [at], start_dim=0, end_dim=-1, input_type=np.array(shape))

    def _affine(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        out = self.random.randint(1, 6)
        bias = self.numbers.normal(0, 0.2, out)
        return self.add(
            "Affine", [self._flat(at, shape)], weight=self.weights(out, prod(shape)), bias=bias
        ), (out,)

    def _linear(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        out = self.random.randint(1, 6)
        return self.add("Linear", [self._flat(at, shape)], weight=self.weights(out, prod(shape))), (out,)

    def _rows(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """The last axis only."""
        out = self.random.randint(2, 5)
        bias = self.numbers.normal(0, 0.2, out)
        return self.add("Affine", [at], weight=self.weights(out, shape[-1]), bias=bias), (*shape[:-1], out)

    def _scale(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        scale = self.numbers.uniform(0.4, 1.6, self.one_of(shape, shape, (1,), ()))
        return self.add("Scale", [at], scale=scale), shape

    def _delay(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        whole = self.numbers.integers(0, 4, self.one_of(shape, shape, (1,)))
        return self.add("Delay", [at], delay=whole * DT), shape

    def _nested(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """An affine layer, or a recurrent population, in a graph of its own."""
        inner = Maker(self.random, self.reset)
        start = inner.add("Input", [], shape=np.array(shape))
        end, now = inner._affine(start, shape)
        if self.random.random() < 0.5:
            end = inner.population([end], now, self.one_of("LIF", "CubaLIF"))
            if self.random.random() < 0.5:
                inner.recur(end, now, end)
            if self.random.random() < 0.5:
                end, now = inner._nested(end, now)
        inner.add("Output", [end], shape=np.array(now))
        name = self.add("NIRGraph", [at], nodes=inner.nodes, edges=inner.edges)
        return name, now

    def _conv1d(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        return self._conv(at, shape, 1)

    def _conv2d(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        return self._conv(at, shape, 2)

    def _conv(self, at: str, shape: tuple[int, ...], axes: int) -> tuple[str, tuple[int, ...]]:
        groups = self.one_of(1, 1, shape[0])
        out = groups * self.random.randint(1, 2)
        kernel = tuple(self.random.randint(1, 3) for _ in range(axes))
        dilation = tuple(
            self.one_of(1, 1, 2) if n > 2 * (k - 1) else 1 for n, k in zip(shape[1:], kernel, strict=True)
        )
        stride: Any = tuple(self.random.randint(1, 2) for _ in range(axes))
        padding: Any = tuple(self.random.randint(0, 2) for _ in range(axes))
        if self.random.random() < 0.3:
            kernel, stride, padding = tuple(self.one_of(1, 3) for _ in range(axes)), (1,) * axes, "same"
            dilation = (1,) * axes
        pads = (
            [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
            if padding == "same"
            else padding
        )
        sides = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(shape[1:], pads, dilation, kernel, stride, strict=True)
        )
        fields: Node = {"weight": self.weights(out, shape[0] // groups, *kernel), "groups": groups}
        fields |= {"bias": self.numbers.normal(0, 0.2, out), "input_shape": np.array(shape[1:])}
        fields |= {"stride": np.array(stride), "dilation": np.array(dilation)}
        if axes == 1 and self.random.random() < 0.5:
            fields |= {"stride": stride[0], "dilation": dilation[0]}
        fields["padding"] = padding if padding == "same" else np.array(padding)
        return self.add(f"Conv{axes}d", [at], **fields), (out, *sides)

    def _sumpool2d(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        return self._pool(at, shape, "SumPool2d")

    def _avgpool2d(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        return self._pool(at, shape, "AvgPool2d")

    def _pool(self, at: str, shape: tuple[int, ...], kind: str) -> tuple[str, tuple[int, ...]]:
        kernel = tuple(self.random.randint(1, 3) for _ in range(2))
        stride = tuple(self.random.randint(1, 3) for _ in range(2))
        padding = tuple(self.random.randint(0, k // 2) for k in kernel)
        sides = tuple(
            (n + 2 * p - k) // s + 1 for n, p, k, s in zip(shape[1:], padding, kernel, stride, strict=True)
        )
        fields = {"kernel_size": np.array(kernel), "stride": np.array(stride), "padding": np.array(padding)}
        return self.add(kind, [at], **fields), (shape[0], *sides)

    def _flatten(self, at: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        first, last = self.one_of((0, -1), (1, -1), (0, 1), (1, 2))
        at = self.add("Flatten", [at], start_dim=first, end_dim=last, input_type=np.array(shape))
        merged = {(0, -1): (prod(shape),), (0, 1): (shape[0] * shape[1], shape[2])}
        return at, merged.get((first, last), (shape[0], shape[1] * shape[2]))

    def population(self, feeds: list[str], shape: tuple[int, ...], kind: str) -> str:
        def value(low: float, high: float) -> np.ndarray:
            wide = self.one_of(shape, shape, (1,), ())
            return self.numbers.uniform(low, high, wide)

        fields: Node = {}
        gain: Any = 1.0
        if kind in ("IF", "I"):
            fields["r"] = value(0.5, 2.0)
            gain = fields["r"]
        elif kind in ("LIF", "LI"):
            fields |= {"tau": value(1.0, 12.0) * DT, "r": self.sign() * value(0.5, 3.0)}
            gain = fields["r"] * DT / fields["tau"]
        elif kind in ("CubaLIF", "CubaLI"):
            fields |= {
                "tau_syn": value(1.0, 8.0) * DT,
                "tau_mem": value(1.0, 12.0) * DT,
                "r": self.sign() * value(0.5, 3.0),
            }
            fields["w_in"] = value(0.5, 2.0)
            gain = fields["r"] * fields["w_in"] * DT / fields["tau_syn"] * DT / fields["tau_mem"]
        scale = float(np.abs(gain).max())
        if kind == "Threshold":
            fields["threshold"] = value(0.1, 0.8)
        rest = 0.0
        if kind in ("LIF", "CubaLIF") and self.reset == "zero" and self.random.random() < 0.3:
            rest = self.numbers.uniform(-1, 1) * scale
        if kind in ("LIF", "LI", "CubaLIF", "CubaLI"):
            fields["v_leak"] = np.full(self.one_of(shape, (1,)), rest)
        if kind in ("IF", "LIF", "CubaLIF"):
            fields["v_threshold"] = rest + scale * value(0.2, 1.2)
            if rest or self.random.random() < 0.5:  # files of NIR before 1.0 have no v_reset
                fields["v_reset"] = np.full(self.one_of(shape, (1,)), rest)
            elif kind != "IF":
                fields["v_reset"] = np.zeros(1)
        return self.add(kind, feeds, **fields)

    def sign(self) -> float:
        return self.one_of(1.0, 1.0, 1.0, -1.0)
