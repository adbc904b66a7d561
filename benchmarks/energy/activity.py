"""What happens during one sample: the counts that energy models price."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ...hardware.placement import Hops
    from ..ann import MacCount
    from ..counting import CountTotals

#: What a model may price; active and inactive updates make up the neuron updates.
Counted: TypeAlias = Literal[
    "sops",
    "graded_sops",
    "spikes",
    "messages",
    "hops_east_west",
    "hops_north_south",
    "neuron_updates",
    "active_updates",
    "inactive_updates",
    "host_macs",
    "ann_macs",
    "ann_activations",
]
#: What grows and shrinks with the spike rate.
SPIKE_DRIVEN: tuple[Counted, ...] = (
    "sops", "graded_sops", "spikes", "messages", "hops_east_west", "hops_north_south"
)  # fmt: skip


@dataclass(frozen=True)
class Activity:
    """Counts of one sample, means over samples where a count varies.

    Attributes
    ----------
    sops : float
        Synaptic operations on the chip.
    spikes : float
        Spikes of all populations.
    neuron_updates : float
        Neurons x time steps.
    host_macs : float
        Multiply-accumulates that the host computes for the spiking network.
    rate : float
        Spikes a neuron and time step, over all populations.
    ann_macs : float
        Multiply-accumulates of the ANN it is held against.
    messages : float, optional
        Spikes times the cores (in a network that is not placed, the populations) that each goes to; without it, one
        each is assumed.
    active_updates : float, optional
        Neuron updates with something to do; without it, all of them.
    ann_activations : float
        Values that the ANN's counted layers write.
    hops_east_west, hops_north_south : float, optional
        Hops of spikes from tile to tile along rows and columns of the chip; none without a placement.
    graded_sops : float
        Those of the synaptic operations that multiply a weight by the value of a graded spike.
    """

    sops: float
    spikes: float
    neuron_updates: float
    host_macs: float
    rate: float
    ann_macs: float
    messages: float | None = None
    active_updates: float | None = None
    ann_activations: float = 0.0
    hops_east_west: float | None = None
    hops_north_south: float | None = None
    graded_sops: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise ValueError(f"activity: {field.name} = {value} must be a finite number of at least 0")
        if not self.ann_macs:
            raise ValueError(
                "activity: ann_macs = 0, there is no ANN to compare with; count one that multiplies"
            )
        if (self.active_updates or 0) > self.neuron_updates:
            raise ValueError(
                f"activity: {self.active_updates} active updates of {self.neuron_updates} neuron updates"
            )

    @classmethod
    def of(cls, counts: CountTotals, host_macs: float, ann: MacCount, hops: Hops | None = None) -> Activity:
        """From counted layers, the host's operations and a counted ANN, and the journeys of spikes where they are placed."""
        return cls(
            sops=counts.sops,
            spikes=counts.spikes,
            neuron_updates=counts.neuron_updates,
            host_macs=host_macs,
            rate=counts.rate,
            ann_macs=ann.macs,
            messages=counts.messages if hops is None else hops.deliveries,
            active_updates=counts.active_updates,
            ann_activations=ann.activations,
            hops_east_west=None if hops is None else hops.east_west,
            hops_north_south=None if hops is None else hops.north_south,
            graded_sops=counts.graded_sops,
        )

    def amount(self, counted: Counted) -> float:
        """How often something happens in a sample."""
        if counted == "messages":
            return self.spikes if self.messages is None else self.messages
        if counted == "hops_east_west":
            return self.hops_east_west or 0.0
        if counted == "hops_north_south":
            return self.hops_north_south or 0.0
        active = self.neuron_updates if self.active_updates is None else self.active_updates
        if counted == "active_updates":
            return active
        if counted == "inactive_updates":
            return self.neuron_updates - active
        value: float = getattr(self, counted)
        return value

    def at_rate(self, rate: float) -> Activity:
        """The same network at another mean spike rate: spike-driven counts in proportion, the rest unchanged.

        Raises
        ------
        ValueError
            Nothing fires, so that there is nothing to scale.
        """
        if not self.rate:
            raise ValueError("activity: rate = 0, there are no spikes to scale")
        factor = rate / self.rate
        driven: dict[str, float | None] = {name: getattr(self, name) for name in SPIKE_DRIVEN}
        scaled = {name: None if amount is None else amount * factor for name, amount in driven.items()}
        return replace(self, **scaled, rate=rate)  # type: ignore[arg-type]
