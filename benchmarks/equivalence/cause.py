"""Why a neuron parts: its constants on both sides, exchanged one at a time.

Both sides saw the same spikes up to the step at which they part. So one neuron is replayed in double precision from
these spikes: with the constants of A, and with each of B's in turn. What moves the membrane most is the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ...export.formats import DECAY_ONE, STATE_LIMIT
from ...export.graph import Floats
from .traces import Trace

#: Part of all effects that the named reasons must make up.
ENOUGH = 0.7
#: Room above half a unit of the last place, for float weights that were themselves rounded.
HALF = 0.51


@dataclass(frozen=True, eq=False)
class Row:
    """Weights of a neuron from one layer.

    Attributes
    ----------
    weights : ndarray
        One an input, in units of the source network.
    unit : float
        What the last bit of a weight is worth; 0 for floats.
    clipped : ndarray of bool
        Weights at the end of their range.
    """

    weights: Floats
    unit: float
    clipped: np.ndarray


@dataclass(frozen=True, eq=False)
class Neuron:
    """Everything that decides what one neuron does in one sample, in units of the source network.

    Attributes
    ----------
    rows : dict of (str, int) to Row
        Weights by source layer and lag.
    current : tuple of float
        Static input current that the host computes, and what the last bit of it is worth.
    line, bias : float
        Constant input of the synaptic current, and of the membrane.
    bias_unit, threshold_unit : float
        What the last bit of these is worth; 0 for floats.
    alpha, beta : float
        What current and membrane keep each step.
    reset : str
        As in :data:`~spikewright.export.formats.RESETS`.
    """

    rows: dict[tuple[str, int], Row]
    current: tuple[float, float]
    line: float
    bias: float
    bias_unit: float
    alpha: float
    beta: float
    threshold: float
    threshold_unit: float
    reset: str


class Models(Protocol):
    """The constants behind a run."""

    def neuron(self, layer: str, neuron: int, sample: int) -> Neuron:
        """One neuron; the sample matters where the host computes its current."""
        ...


#: Exchangeable parts: the fields of a neuron that go together, and how to describe two values of them.
PARTS: dict[str, tuple[str, ...]] = {
    "weights": ("rows",),
    "input current": ("current",),
    "bias": ("line", "bias", "bias_unit"),
    "current decay": ("alpha",),
    "membrane decay": ("beta",),
    "threshold": ("threshold", "threshold_unit"),
    "reset": ("reset",),
}


def reason(
    traces: tuple[Trace, Trace],
    models: tuple[Models, Models],
    where: tuple[str, int, int, int],
    margins: tuple[float | None, float | None],
) -> str:
    """Say what makes a neuron part.

    Parameters
    ----------
    where : tuple of (str, int, int, int)
        Layer, neuron, sample, time step.
    margins : tuple of float
        Membrane less threshold that each run really had there.

    Returns
    -------
    str
        Empty where a layer that feeds the neuron was not recorded.
    """
    layer, index, sample, step = where
    ours, theirs = (model.neuron(layer, index, sample) for model in models)
    trace = traces[0]
    if any(source not in trace.layers for source, _ in ours.rows | theirs.rows):
        return ""
    spikes = trace.layers[layer].spikes[sample, :step, index]

    def raster(source: str) -> Floats:
        return trace.layers[source].spikes[sample, : step + 1].astype(np.float64)

    base, full = (_margin(n, raster, spikes) for n in (ours, theirs))
    differing = [part for part in PARTS if not _same(ours, theirs, part)]
    effects = {part: _margin(_exchange(ours, theirs, part), raster, spikes) - base for part in differing}
    total = full - base
    if margins[0] is not None and margins[1] is not None:
        total = margins[1] - margins[0]
        effects["states"] = total - (full - base)
    words = _words(ours, theirs, _main(effects, total, differing))
    integers = [t.layers[layer].raw for t in traces]
    if any(r is not None and abs(int(r.held[sample, step, index])) >= STATE_LIMIT - 1 for r in integers):
        words.append("the membrane is at its 24-bit limit")
    if words:
        return " and ".join(words)
    return "same constants and same inputs, so the simulators compute differently"


def _main(effects: dict[str, float], total: float, differing: list[str]) -> list[str]:
    """Parts that make up most of the difference, the largest first."""
    if not differing and "states" in effects:
        return []
    helping = sorted(
        ((part, e * np.sign(total)) for part, e in effects.items() if e * total > 0), key=lambda x: -x[1]
    )
    if not helping:
        return differing
    main, sum_ = [], 0.0
    for part, effect in helping[:3]:
        main.append(part)
        sum_ += effect
        if sum_ >= ENOUGH * sum(e for _, e in helping):
            break
    return main


def _margin(n: Neuron, raster: Callable[[str], Floats], spikes: np.ndarray) -> float:
    """Membrane less threshold at the last step, the resets being those that happened."""
    arriving = np.full(len(spikes) + 1, n.line)
    for (source, lag), row in n.rows.items():
        drive = raster(source) @ row.weights
        arriving[lag:] += drive[: len(drive) - lag] if lag else drive
    current = membrane = 0.0
    for t, input_ in enumerate(arriving):
        current = n.alpha * current + input_
        membrane = n.beta * membrane + current + n.current[0] + n.bias
        if n.reset == "subtract-delayed":
            membrane -= n.threshold if t and spikes[t - 1] else 0.0
        elif t < len(spikes) and spikes[t]:
            membrane = membrane - n.threshold if n.reset == "subtract" else 0.0
    return membrane - n.threshold


def _exchange(ours: Neuron, theirs: Neuron, part: str) -> Neuron:
    return replace(ours, **{name: getattr(theirs, name) for name in PARTS[part]})


def _same(a: Neuron, b: Neuron, part: str) -> bool:
    if part == "weights":
        none = Row(np.zeros(1), 0.0, np.zeros(1, bool))
        keys = a.rows.keys() | b.rows.keys()
        pairs = [(a.rows.get(k, none).weights, b.rows.get(k, none).weights) for k in keys]
        return all((x == y).all() for x, y in pairs)
    names = [name for name in PARTS[part] if not name.endswith("_unit")]
    if part == "input current":
        return a.current[0] == b.current[0]
    return all(getattr(a, name) == getattr(b, name) for name in names)


def _words(a: Neuron, b: Neuron, parts: list[str]) -> list[str]:
    said = {
        "weights": lambda: _weights(a, b),
        "input current": lambda: _numbers("input current", a.current[0], b.current[0], a.current[1] + b.current[1]),
"bias": lambda: _bias(a, b),
        "current decay": lambda: _numbers("current decay", a.alpha, b.alpha, 2 / DECAY_ONE),
        "membrane decay": lambda: _numbers("membrane decay", a.beta, b.beta, 1 / DECAY_ONE),
        "threshold": lambda: _numbers("threshold", a.threshold, b.threshold, a.threshold_unit + b.threshold_unit),
        "reset": lambda: f"{_RESET[a.reset]} against {_RESET[b.reset]}",
        "states": lambda: "rounding of the integer states",
    }  # fmt: skip
    return [said[part]() for part in parts]


_RESET = {
    "zero": "reset to zero",
    "subtract": "reset by subtraction",
    "subtract-delayed": "reset by subtraction in the next step",
}


def _numbers(label: str, a: float, b: float, unit: float) -> str:
    within = abs(a - b) <= unit
    kept = label.replace("decay", "factor")
    return f"rounding of the {label}" if within else f"{kept} {a:.6g} against {b:.6g}"


def _bias(a: Neuron, b: Neuron) -> str:
    said = _numbers("bias", a.line + a.bias, b.line + b.bias, a.bias_unit + b.bias_unit)
    # A quantiser moves the bias by what rounded weights add on average: at most all that rounding changed.
    moved = sum(
        float(np.abs(a.rows[k].weights - b.rows[k].weights).sum()) for k in a.rows.keys() & b.rows.keys()
    )
    quantised = (a.bias_unit > 0) != (b.bias_unit > 0)
    if said.startswith("rounding") or not quantised or abs(a.line + a.bias - b.line - b.bias) > moved:
        return said
    return f"{said} (within what rounded weights may ask for)"


def _weights(a: Neuron, b: Neuron) -> str:
    """Rounding, or the weight that differs most beyond it."""
    worst: tuple[float, str] = (0.0, "")
    clipped = False
    for key in a.rows.keys() | b.rows.keys():
        present = a.rows.get(key) or b.rows[key]
        nothing = Row(np.zeros_like(present.weights), 0.0, np.zeros(present.weights.shape, bool))
        x, y = a.rows.get(key, nothing), b.rows.get(key, nothing)
        distance = np.abs(x.weights - y.weights)
        beyond = distance > HALF * (x.unit + y.unit)
        # Floats beyond the largest integer were clipped on purpose, to make the others finer.
        cut = beyond & (x.clipped | y.clipped) & ((x.unit > 0) != (y.unit > 0))
        clipped |= bool(cut.any())
        beyond &= ~cut
        if beyond.any() and distance[beyond].max() > worst[0]:
            at = int(np.argmax(np.where(beyond, distance, 0)))
            text = f"weight from {key[0]} neuron {at}: {x.weights[at]:.6g} against {y.weights[at]:.6g}"
            worst = (float(distance[at]), text)
    if worst[1]:
        return worst[1]
    return "rounding and clipping of the weights" if clipped else "rounding of the weights"
