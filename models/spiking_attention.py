"""A parallel block of spiking attention and MLP, as Spiking-PhysFormer has them: no value, no softmax, no scale.

Where query and key spike together is counted over tokens, channel by channel; a neuron for each count fires, and its
spike lets the block's own spikes of that channel through. Two products of spikes: on a chip, neurons that fire when
both of their inputs do.

A mask tells no token what another one holds. :class:`ValueBlock` has the attention with values that Spikformer has (Zhou
et al., ICLR 2023), in the order that is linear in tokens and binary in between: where key and value spike together is
counted pair of channels by pair of channels, and queries read the neurons of those counts.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from .neurons import Leaky
from .physformer_layout import PhysFormerConfig
from .surrogates import ATan
from .temporal_difference import TemporalDifferenceConv3d

#: Spikes of a population, by its name, from its current; of a product, from the spikes that meet.
Fire: TypeAlias = Callable[..., Tensor]
#: Other spikes in place of those of a population, by its name.
Change: TypeAlias = Callable[[str, Tensor], Tensor]
PUBLISHED_GATE = 0.5  # coincidences that a count has to exceed: one will do
FIRST_COINCIDENCE = 0.04  # share of coincidences that a count's neuron fires at before training


def lif() -> Leaky:
    """The published neuron: half of the membrane is kept, threshold 1, reset to 0.

    The paper's ``v + (x - v) / 2`` with threshold 1 is ``v / 2 + x`` with threshold 2: a factor on the current that the
    normalisation ahead of it holds.
    """
    return Leaky(0.5, 1.0, ATan())


class Coincidence(nn.Module):
    """A spike where two spikes meet: their product, as a layer that has a name on the chip."""

    #: The exporter makes it a population of neurons that fire when both of their inputs do.
    spikewright_product = True

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The product of two tensors of spikes."""
        return first * second


class Counts(nn.Module):
    """Counts coincidences over windows of tokens: time slices, rows and columns."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__()
        slices, rows, columns = config.grid
        self.window = (slices if config.counts_all else 1, rows, columns)
        self.again = (1, 1, *self.window)

    def mean(self, coincidences: Tensor) -> Tensor:
        """Coincidences (N, channels, tokens in time, height and width) to their share (N, channels, windows)."""
        return F.avg_pool3d(coincidences, self.window).flatten(2)

    def spread(self, spikes: Tensor) -> Tensor:
        """Spikes (N, channels, windows) to all tokens that they stand for."""
        return spikes[:, :, :, None, None].repeat(*self.again)


class Gate(Counts):
    """Counts over all tokens, or over those of one time slice; a current a channel (and slice)."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__(config)
        self.count = prod(self.window)
        self.gain: nn.Module | None = None
        if config.variant == "deployment":
            # A gain of 1 / threshold: what a channel's count has to exceed is learned.
            self.gain = nn.Conv1d(config.width, config.width, 1, groups=config.width, bias=False)
            nn.init.constant_(self.gain.weight, 1 / max(PUBLISHED_GATE, FIRST_COINCIDENCE * self.count))

    def forward(self, coincidences: Tensor) -> Tensor:
        """Coincidences (N, channels, tokens in time, height and width) to currents (N, channels, slices or 1)."""
        counts = self.mean(coincidences) * self.count
        if self.gain is None:
            return counts * (1 / PUBLISHED_GATE)
        out: Tensor = self.gain(counts)
        return out


class PairGate(Counts):
    """Counts over all tokens, one for each pair of channels; the normalisation learns what they have to exceed."""

    def __init__(self, config: PhysFormerConfig) -> None:
        super().__init__(config)
        self.norm = nn.BatchNorm1d(config.width**2 // config.heads)

    def forward(self, coincidences: Tensor) -> Tensor:
        """Coincidences (N, pairs, tokens in time, height and width) to currents (N, pairs, 1)."""
        out: Tensor = self.norm(self.mean(coincidences))
        return out


class ParallelBlock(nn.Module):
    """Attention and MLP of the same spikes, to be added to the stream that fired them.

    Parameters
    ----------
    config : PhysFormerConfig
    name : str
        Prefix of its populations.
    """

    def __init__(self, config: PhysFormerConfig, name: str) -> None:
        super().__init__()
        width, hidden = config.width, config.width * config.ratio
        self.name = name
        self.enter_n = lif()
        self.query, self.query_norm = TemporalDifferenceConv3d(width, width), nn.BatchNorm3d(width)
        self.query_n = lif()
        self.key, self.key_norm = nn.Conv3d(width, width, 1, bias=False), nn.BatchNorm3d(width)
        self.key_n = lif()
        self.meeting_n = Coincidence()
        self.gate: Counts = Gate(config)
        self.gate_n = lif()
        self.masked_n = Coincidence()
        self.project, self.project_norm = nn.Conv3d(width, width, 1, bias=False), nn.BatchNorm3d(width)
        frames = config.mlp_frames
        self.expand = nn.Conv3d(width, hidden, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False)
        self.expand_norm = nn.BatchNorm3d(hidden)
        self.hidden_n = lif()
        self.reduce, self.reduce_norm = nn.Conv3d(hidden, width, 1, bias=False), nn.BatchNorm3d(width)

    def evaluate(self, stream: Tensor, fire: Fire) -> Tensor:
        """What is added to a stream (N, channels, tokens in time, height and width)."""
        name = self.name
        spikes = fire(f"{name}.enter_n", self.enter_n, stream)
        query = fire(f"{name}.query_n", self.query_n, self.query_norm(self.query(spikes)))
        key = fire(f"{name}.key_n", self.key_n, self.key_norm(self.key(spikes)))
        masked = self.attend(spikes, query, key, fire)
        attended = self.project_norm(self.project(masked))
        hidden = fire(f"{name}.hidden_n", self.hidden_n, self.expand_norm(self.expand(spikes)))
        added: Tensor = attended + self.reduce_norm(self.reduce(hidden))
        return added

    def attend(self, spikes: Tensor, query: Tensor, key: Tensor, fire: Fire) -> Tensor:
        """The block's spikes that pass the mask, (N, channels, tokens in time, height and width)."""
        name = self.name
        meeting = fire(f"{name}.meeting_n", self.meeting_n, query, key)
        gate = fire(f"{name}.gate_n", self.gate_n, self.gate(meeting))
        return fire(f"{name}.masked_n", self.masked_n, self.gate.spread(gate), spikes)


class ValueBlock(ParallelBlock):
    """A block whose tokens exchange values: queries read what keys and values of all tokens have in common."""

    def __init__(self, config: PhysFormerConfig, name: str) -> None:
        super().__init__(config, name)
        width = config.width
        self.heads, self.size = config.heads, width // config.heads
        self.value, self.value_norm = nn.Conv3d(width, width, 1, bias=False), nn.BatchNorm3d(width)
        self.value_n = lif()
        self.gate = PairGate(config)
        self.project = nn.Conv3d(width * self.size, width, 1, bias=False)

    def attend(self, spikes: Tensor, query: Tensor, key: Tensor, fire: Fire) -> Tensor:
        """What queries read, a channel for each pair of a query's and a value's within a head."""
        name = self.name
        value = fire(f"{name}.value_n", self.value_n, self.value_norm(self.value(spikes)))
        values = (
            value.unflatten(1, (self.heads, 1, self.size)).repeat(1, 1, self.size, 1, 1, 1, 1).flatten(1, 3)
        )
        meeting = fire(f"{name}.meeting_n", self.meeting_n, self._paired(key), values)
        gate = fire(f"{name}.gate_n", self.gate_n, self.gate(meeting))
        return fire(f"{name}.masked_n", self.masked_n, self.gate.spread(gate), self._paired(query))

    def _paired(self, spikes: Tensor) -> Tensor:
        """Each channel once for each value of its head."""
        return spikes.repeat_interleave(self.size, 1)
