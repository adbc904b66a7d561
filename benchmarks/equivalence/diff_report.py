"""What a comparison of two runs says: agreement by layer, and where they first part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """One side of a divergence; None is what the run does not show.

    Attributes
    ----------
    membrane, threshold : float or None
        In units of the source network; the membrane is the one held against the threshold.
    raw_current, raw_membrane, raw_threshold : int or None
        As the chip holds them, the membrane before any reset.
    raw_left : int or None
        The membrane after any reset.
    """

    who: str
    spike: int
    membrane: float | None
    threshold: float | None
    raw_current: int | None = None
    raw_membrane: int | None = None
    raw_threshold: int | None = None
    raw_left: int | None = None

    @property
    def margin(self) -> float | None:
        """Distance of the membrane above the threshold."""
        if self.membrane is None or self.threshold is None:
            return None
        return self.membrane - self.threshold


@dataclass(frozen=True)
class Divergence:
    """Where two runs part in a layer.

    Attributes
    ----------
    quantity : str
        ``spikes``, ``currents``, ``membranes``, ``readouts``, or ``not finite``.
    timestep : int
        In the layer's own time.
    place : tuple of (str, int)
        Channel, row and column of the neuron, or as many axes as its population has.
    reason : str
        Which constant of the neuron makes the difference, where both sides are known; or empty.
    """

    layer: str
    quantity: str
    sample: int
    timestep: int
    neuron: int
    place: tuple[tuple[str, int], ...]
    a: Side
    b: Side
    reason: str = ""


@dataclass(frozen=True)
class LayerDiff:
    """Agreement of one layer.

    Attributes
    ----------
    neuron_steps, differing_spikes : int
        Spikes compared, and unequal; zero for a read-out.
    compared_states, differing_states : int
        The same of raw currents and membranes, in an exact comparison.
    correlation : float or None
        Of the spike counts of all samples and neurons; None where a side's counts are all the same and the other's not.
    largest_error : float or None
        Largest distance of two membranes while whatever feeds the layer agreed and so did the layer: what the layer
        itself adds, in units of the source network. None where nothing agreed or a side shows no membrane.
    readout_error : float or None
        Largest distance of two read-out membranes after the last step compared.
    differing_samples, own_samples : int
        Samples in which the layer parts; and of these, those in which whatever feeds it had agreed until then.
    by_step : tuple of float
        Share of neurons that agree, by time step; empty where a lossy comparison has no spikes to compare.
    first : Divergence or None
        By sample, then time step.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neuron_steps: int
    differing_spikes: int
    compared_states: int
    differing_states: int
    correlation: float | None
    rate_a: float
    rate_b: float
    largest_error: float | None
    readout_error: float | None
    differing_samples: int
    own_samples: int
    by_step: tuple[float, ...]
    first: Divergence | None

    @property
    def agreement(self) -> float | None:
        """Share of neuron steps with the same spike."""
        return 1 - self.differing_spikes / self.neuron_steps if self.neuron_steps else None


@dataclass(frozen=True)
class Unmatched:
    """A layer without a counterpart."""

    name: str
    side: str
    why: str


@dataclass(frozen=True)
class Report:
    """What a comparison found.

    Attributes
    ----------
    exact : bool
        Zero tolerance, on every state; else only spikes are held against each other.
    first : Divergence or None
        The first cause: the first layer in order of data flow that parts while whatever feeds it still agrees.
    """

    a: str
    b: str
    exact: bool
    samples: int
    timesteps: int
    layers: tuple[LayerDiff, ...]
    unmatched: tuple[Unmatched, ...]
    notes: tuple[str, ...]
    first: Divergence | None

    @property
    def equal(self) -> bool:
        """Nothing differs that was compared."""
        return self.first is None

    @property
    def neuron_steps(self) -> int:
        """Spikes compared, those that came in from outside left out."""
        return sum(layer.neuron_steps for layer in self.layers if layer.kind != "input")

    @property
    def differing_spikes(self) -> int:
        """Of them, unequal."""
        return sum(layer.differing_spikes for layer in self.layers if layer.kind != "input")

    @property
    def compared_states(self) -> int:
        """Raw states compared."""
        return sum(layer.compared_states for layer in self.layers)

    @property
    def differing_states(self) -> int:
        """Of them, unequal."""
        return sum(layer.differing_states for layer in self.layers)

    @property
    def agreement(self) -> float | None:
        """Share of neuron steps with the same spike, over all layers."""
        return 1 - self.differing_spikes / self.neuron_steps if self.neuron_steps else None

    @property
    def finite(self) -> bool:
        """No membrane of either side is NaN or infinite."""
        return all(layer.first is None or layer.first.quantity != "not finite" for layer in self.layers)

    def failed(self, limit: float | None = None) -> bool:
        """Whether the comparison failed: any difference of an exact one, a NaN, or a layer below the limit."""
        if self.exact:
            return not self.equal
        below = limit is not None and any((x.agreement or 0) < limit for x in self.layers if x.neuron_steps)
        return below or not self.finite
