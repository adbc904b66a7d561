"""Two runs of a network side by side: how far each layer agrees, and where they first part.

Runs of the same integer program are held to every current, membrane and spike, with no tolerance. All others (float
against integer, one float simulator against another) are lossy: there only spikes are held against each other, and
membranes say how close a call it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.formats import Ints
from .cause import Models, reason
from .diff_report import Divergence, LayerDiff, Report, Side, Unmatched
from .traces import DiffError, LayerTrace, Trace, place

Mask = NDArray[np.bool_]
#: Membranes of two float simulators that are this close, relative to their size, differ by rounding.
FLOAT_ROUNDING = 1e-5
NEVER = np.iinfo(np.int64).max


def diff(a: Trace, b: Trace, models: tuple[Models, Models] | None = None) -> Report:
    """Compare two runs on the same samples.

    Parameters
    ----------
    models : tuple of Models, optional
        The constants behind each run; with both, the first divergence is given a reason.

    Raises
    ------
    DiffError
        The runs saw different samples, or share no layer.
    """
    samples, timesteps, notes = _extent(a, b)
    names, unmatched = _match(a, b)
    exact = _exact(a, b, names)
    pairs = {n: (_cut(a.layers[n], samples, timesteps), _cut(b.layers[n], samples, timesteps)) for n in names}
    parted = {n: _Parted(*pair, exact) for n, pair in pairs.items()}
    firsts = {n: p.first_step for n, p in parted.items()}
    labels = (a.who, b.who) if a.who != b.who else (f"{a.who} A", f"{b.who} B")
    layers, first = [], None
    for name in names:
        fed = np.full(samples, NEVER)  # step up to which whatever feeds the layer agrees
        for source, lag in _matched_sources(a, name, firsts):
            fed = np.minimum(fed, np.where(firsts[source] < NEVER, firsts[source] + lag, NEVER))
        own = firsts[name] < fed
        layer = _layer(name, pairs[name], parted[name], labels, own, fed)
        if first is None and own.any():
            first = parted[name].divergence(name, pairs[name], labels, int(np.argmax(own)))
        layers.append(layer)
    if first is not None:
        first = replace(first, reason=_reason(a, b, first, models))
    return Report(
        a.what, b.what, exact, samples, timesteps, tuple(layers), unmatched, (*a.notes, *b.notes, *notes), first
    )  # fmt: skip


def _extent(a: Trace, b: Trace) -> tuple[int, int, list[str]]:
    """Samples and steps that both have, and a note where one has more."""
    for trace in (a, b):
        if not trace.layers or 0 in trace.extent:
            raise DiffError(f"{trace.what}: holds no layer, sample or time step; run it again")
    samples, timesteps = (min(x, y) for x, y in zip(a.extent, b.extent, strict=True))
    notes = []
    for label, x, y in zip(("samples", "time steps"), a.extent, b.extent, strict=True):
        if x != y:
            notes.append(f"A has {x} {label}, B has {y}: the first {min(x, y)} are compared")
    if a.samples is not None and b.samples is not None:
        mine, theirs = a.samples[:samples], b.samples[:samples]
        if a.extent[1] != b.extent[1] and mine.ndim == theirs.ndim and mine.shape[1:2] != theirs.shape[1:2]:
            mine, theirs = mine[:, :timesteps], theirs[:, :timesteps]
        if mine.shape != theirs.shape or not np.array_equal(mine, theirs):
            raise DiffError(
                f"{a.what} and {b.what} ran on different samples of shape {mine.shape} and {theirs.shape}; "
                "run both on the same (--data)"
            )
    return samples, timesteps, notes


def _match(a: Trace, b: Trace) -> tuple[list[str], tuple[Unmatched, ...]]:
    """Layers that both have, in order of data flow, and the others."""
    names, unmatched = [], []
    for name, layer in a.layers.items():
        other = b.layers.get(name)
        if other is None:
            if layer.kind not in ("relay", "input"):
                unmatched.append(Unmatched(name, "A", "no such layer in B"))
        elif layer.neurons != other.neurons:
            unmatched.append(Unmatched(name, "both", f"{layer.neurons} neurons in A, {other.neurons} in B"))
        elif (layer.kind == "readout") != (other.kind == "readout"):
            unmatched.append(Unmatched(name, "both", f"a {layer.kind} layer in A, {other.kind} in B"))
        else:
            names.append(name)
    unmatched += [
        Unmatched(name, "B", "no such layer in A")
        for name, layer in b.layers.items()
        if name not in a.layers and layer.kind not in ("relay", "input")
    ]
    if not any(a.layers[n].kind != "input" for n in names):
        theirs = [", ".join(n for n, x in t.layers.items() if x.kind != "input") for t in (a, b)]
        raise DiffError(
            f"{a.what} and {b.what} have no layer of the same name and size, so nothing can be compared; "
            f"layers of A: {theirs[0]}; of B: {theirs[1]}"
        )
    return names, tuple(unmatched)


def _exact(a: Trace, b: Trace, names: Sequence[str]) -> bool:
    """Whether both are integers in the same units, so that nothing may differ."""
    if not a.arithmetic == b.arithmetic == "integer":
        return False
    raw = [(a.layers[n].raw, b.layers[n].raw) for n in names if a.layers[n].kind != "input"]
    return all(x is not None and y is not None and np.array_equal(x.scale, y.scale) for x, y in raw)


def _cut(layer: LayerTrace, samples: int, timesteps: int) -> LayerTrace:
    def cut(array: Any) -> Any:
        return array[:samples, :timesteps]

    raw = layer.raw
    if raw is not None:
        raw = replace(raw, currents=cut(raw.currents), membranes=cut(raw.membranes), held=cut(raw.held))
    result = layer.result(timesteps)
    return replace(
        layer,
        spikes=cut(layer.spikes),
        held=None if layer.held is None else cut(layer.held),
        raw=raw,
        readout=None if result is None else result[:samples],
    )


def _matched_sources(trace: Trace, name: str, known: dict[str, Any]) -> list[tuple[str, int]]:
    """What feeds a layer, seen through layers that only this run has."""
    found, waiting, seen = [], list(trace.layers[name].sources), set()
    while waiting:
        source, lag = waiting.pop()
        if (source, lag) in seen:
            continue
        seen.add((source, lag))
        if source in known:
            found.append((source, lag))
        elif source in trace.layers:
            waiting += [(s, lag + more) for s, more in trace.layers[source].sources]
    return found


class _Parted:
    """Where two layers differ."""

    def __init__(self, a: LayerTrace, b: LayerTrace, exact: bool) -> None:
        self.spikes: Mask = a.spikes != b.spikes
        self.quantities: list[tuple[str, Mask]] = []  # in order of cause
        self.states = 0
        infinite = ~(_finite(a) & _finite(b))
        if infinite.any():
            self.quantities.append(("not finite", infinite))
        if exact and a.raw is not None and b.raw is not None:
            for label in ("currents", "membranes"):
                self.quantities.append((label, getattr(a.raw, label) != getattr(b.raw, label)))
                self.states += a.raw.currents.size
        self.quantities.append(("spikes", self.spikes))
        states = [mask for quantity, mask in self.quantities if quantity in ("currents", "membranes")]
        self.differing_states = sum(int(mask.sum()) for mask in states)
        self.any: Mask = np.logical_or.reduce([mask for _, mask in self.quantities])
        steps = self.any.any(2)
        self.first_step = np.where(steps.any(1), steps.argmax(1), NEVER)

    def divergence(
        self, name: str, pair: tuple[LayerTrace, LayerTrace], labels: tuple[str, str], sample: int
    ) -> Divergence:
        """The first difference within a sample."""
        step = int(self.first_step[sample])
        quantity, mask = next((q, m) for q, m in self.quantities if m[sample, step].any())
        neuron = int(mask[sample, step].argmax())
        sides = [_side(layer, who, (sample, step, neuron)) for layer, who in zip(pair, labels, strict=True)]
        return Divergence(
            name, quantity, sample, step, neuron, place(pair[0].shape, neuron), sides[0], sides[1]
        )


def _finite(layer: LayerTrace) -> Mask:
    if layer.held is None:
        return np.ones(layer.spikes.shape, bool)
    # NaN at a spike is a membrane that was reset before anybody saw it.
    return np.isfinite(layer.held) | (np.isnan(layer.held) & (layer.spikes > 0))


def _side(layer: LayerTrace, who: str, at: tuple[int, int, int]) -> Side:
    held = None if layer.held is None else float(layer.held[at])
    if held is not None and np.isnan(held) and layer.spikes[at]:
        held = None
    threshold = None if layer.threshold is None else float(layer.threshold[at[2]])
    if threshold is not None and np.isinf(threshold):
        threshold = None
    if layer.raw is None:
        return Side(who, int(layer.spikes[at]), held, threshold)
    raw = layer.raw
    states = (raw.currents[at], raw.held[at], raw.threshold[at[2]], raw.membranes[at])
    return Side(who, int(layer.spikes[at]), held, threshold, *(int(state) for state in states))


def _layer(
    name: str,
    pair: tuple[LayerTrace, LayerTrace],
    parted: _Parted,
    labels: tuple[str, str],
    own: Mask,
    fed: Ints,
) -> LayerDiff:
    a, b = pair
    fires = a.kind != "readout"
    differs = parted.first_step < NEVER
    shown = fires or len(parted.quantities) > 1
    error = readout_error = None
    if a.held is not None and b.held is not None:
        steps = np.arange(a.spikes.shape[1])
        before = (steps <= parted.first_step[:, None]) & (steps < fed[:, None])
        distance = np.abs(a.held - b.held)[before]
        error = float(np.nanmax(distance)) if np.isfinite(distance).any() else None
    if a.readout is not None and b.readout is not None:
        readout_error = float(np.abs(a.readout - b.readout).max())
    return LayerDiff(
        name=name,
        kind=a.kind,
        shape=a.shape,
        neuron_steps=parted.spikes.size if fires else 0,
        differing_spikes=int(parted.spikes.sum()),
        compared_states=parted.states,
        differing_states=parted.differing_states,
        correlation=_correlation(a.spikes, b.spikes) if fires else None,
        rate_a=float((a.spikes > 0).mean()),
        rate_b=float((b.spikes > 0).mean()),
        largest_error=error,
        readout_error=readout_error,
        differing_samples=int(differs.sum()),
        own_samples=int(own.sum()),
        by_step=tuple(float(x) for x in 1 - parted.any.mean((0, 2))) if shown else (),
        first=parted.divergence(name, pair, labels, int(np.argmax(differs))) if differs.any() else None,
    )


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float | None:
    x, y = (s.sum(1, dtype=np.int64).ravel() for s in (a, b))
    if np.array_equal(x, y):
        return 1.0
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _reason(a: Trace, b: Trace, at: Divergence, models: tuple[Models, Models] | None) -> str:
    if at.quantity == "not finite":
        return "a membrane is not a finite number"
    if a.layers[at.layer].kind == "input":
        return "the inputs differ"
    margins = [side.membrane if side.margin is None else side.margin for side in (at.a, at.b)]
    if a.arithmetic == b.arithmetic == "float" and margins[0] is not None and margins[1] is not None:
        apart = abs(margins[0] - margins[1])
        if 0 < apart <= FLOAT_ROUNDING * max(abs(at.a.membrane or 0), abs(at.a.threshold or 0)):
            return f"float32 rounding, the membranes are {apart:.1g} apart"
    where = (at.layer, at.neuron, at.sample, at.timestep)
    return "" if models is None else reason((a, b), models, where, (at.a.margin, at.b.margin))
