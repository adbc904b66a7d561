"""Operations, counted on the integer program from the spikes of a real run.

A synaptic operation (SOP) is one weight added to one neuron because one spike arrived. A spike of neuron j
causes as many as j has synapses: taps beyond the border of a feature map and weights of zero are none. A graded spike
causes as many, each a multiplication as well; a value of zero is not sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..export.linear import Shape, fan_out
from ..hardware.program import Population, Program
from ..hardware.recording import Recording


@dataclass(frozen=True)
class LayerCount:
    """One population and the synapses into it; activity is a mean per sample, within the sample's window.

    Attributes
    ----------
    synapses : int
        Synapses into the population: borders and zero weights excluded.
    stored_weights : int
        Weight cells of those synapses, a convolution kernel counted once, zeros included.
    spikes : float
        Spikes that the population emits.
    sops : float
        Synaptic operations in the synapses into it: over its incoming groups, sum of (spikes of a source
        neuron x its synapses).
    rate : float
        Spikes a neuron and time step.
    neuron_updates : int
        Neurons x time steps.
    active_updates : float or None
        Updates that leave a current or membrane other than zero, or that fire; None without recorded states.
    start : int
        Steps after which a sample reaches the population.
    overhead_spikes : int or None
        Spikes outside every sample window, over the whole run; None where the backend does not count them.
    messages : float
        Spikes delivered to it: over its incoming groups, spikes of the source neurons that have a synapse.
    graded_sops : float
        Those of the synaptic operations that multiply a weight by the value of a relay's graded spike.
    payload_bits : float
        Bits of such values that its messages carry, at the width of each relay's payload.
    """

    name: str
    shape: Shape
    neurons: int
    synapses: int
    stored_weights: int
    spikes: float
    sops: float
    rate: float
    neuron_updates: int
    active_updates: float | None
    start: int
    overhead_spikes: int | None
    messages: float
    graded_sops: float = 0.0
    payload_bits: float = 0.0


@dataclass(frozen=True)
class CountTotals:
    """Sums over layers; see :class:`LayerCount` for what is counted.

    Attributes
    ----------
    rate : float
        Spikes a neuron and time step, over all populations.
    active_updates, overhead_spikes
        None when any layer's is.
    """

    neurons: int
    synapses: int
    stored_weights: int
    spikes: float
    sops: float
    rate: float
    neuron_updates: int
    active_updates: float | None
    overhead_spikes: int | None
    messages: float
    graded_sops: float = 0.0
    payload_bits: float = 0.0


def count(program: Program, recording: Recording, samples: int) -> list[LayerCount]:
    """Count every population's operations.

    Parameters
    ----------
    recording : Recording
        A run of the program; with states where active updates are wanted.
    samples : int
        Samples that the recording holds.

    Raises
    ------
    ValueError
        No samples, or a recording of another program or number of samples; the message names the population.
    """
    if samples < 1:
        raise ValueError("nothing to count: the recording holds no samples")
    sizes = {s.name: s.size for s in program.sources} | {p.name: p.size for p in program.populations}
    for name, size in sizes.items():
        if name not in recording.counts and name not in recording.totals:
            raise ValueError(f"{name}: the recording has no spike counts of it; run the whole program")
        whole = name in recording.totals
        found = (recording.totals if whole else recording.counts)[name].shape
        wanted = (size,) if whole else (samples, size)
        if found != wanted:
            raise ValueError(f"{name}: spike counts of shape {found}, program and samples ask for {wanted}")
    return [_layer(program, p, recording, samples) for p in program.populations]


def totals(layers: Sequence[LayerCount]) -> CountTotals:
    """Sum layers."""
    spikes = sum(layer.spikes for layer in layers)
    updates = sum(layer.neuron_updates for layer in layers)
    active = [layer.active_updates for layer in layers if layer.active_updates is not None]
    overhead = [layer.overhead_spikes for layer in layers if layer.overhead_spikes is not None]
    return CountTotals(
        neurons=sum(layer.neurons for layer in layers),
        synapses=sum(layer.synapses for layer in layers),
        stored_weights=sum(layer.stored_weights for layer in layers),
        spikes=spikes,
        sops=sum(layer.sops for layer in layers),
        rate=spikes / updates if updates else 0.0,
        neuron_updates=updates,
        active_updates=sum(active) if len(active) == len(layers) else None,
        overhead_spikes=sum(overhead) if len(overhead) == len(layers) else None,
        messages=sum(layer.messages for layer in layers),
        graded_sops=sum(layer.graded_sops for layer in layers),
        payload_bits=sum(layer.payload_bits for layer in layers),
    )


def _layer(program: Program, p: Population, recording: Recording, samples: int) -> LayerCount:
    groups = program.inputs_of(p.name)
    synapses = sops = messages = graded = payload = 0
    width = {q.name: q.payload_bits for q in program.populations if q.graded}
    for group in groups:
        reach = fan_out(group.map)
        arriving = recording.total(group.source)
        synapses += int(reach.sum())
        caused, delivered = int(arriving @ reach), int(arriving[reach > 0].sum())
        sops += caused
        messages += delivered
        if group.source in width:
            graded += caused
            payload += delivered * width[group.source]
    spikes = int(recording.total(p.name).sum()) / samples
    updates = p.size * program.timesteps
    return LayerCount(
        name=p.name,
        shape=p.shape,
        neurons=p.size,
        synapses=synapses,
        stored_weights=sum(int(group.map.weight.size) for group in groups),
        spikes=spikes,
        sops=sops / samples,
        rate=spikes / updates,
        neuron_updates=updates,
        active_updates=_active(p.name, recording, samples),
        start=p.start,
        overhead_spikes=(recording.overhead_spikes or {}).get(p.name),
        messages=messages / samples,
        graded_sops=graded / samples,
        payload_bits=payload / samples,
    )


def _active(name: str, recording: Recording, samples: int) -> float | None:
    records = [getattr(recording, kind).get(name) for kind in ("spikes", "currents", "membranes")]
    if any(record is None for record in records):
        return None
    return float(np.count_nonzero(np.logical_or.reduce([record != 0 for record in records]))) / samples
