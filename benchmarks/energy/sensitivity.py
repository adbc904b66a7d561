"""How far a verdict on energy hangs on single figures, and at how many spikes each layer breaks even."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...hardware.figures import Figure
from ..counting import LayerCount
from .activity import Activity
from .model import EnergyModel
from .price import break_even_rate, price

FACTOR = 2.0


@dataclass(frozen=True)
class Swing:
    """What the spiking network costs, as a multiple of the ANN, with one figure smaller or larger.

    Attributes
    ----------
    figure : str
        Name, value and unit.
    smaller, larger : float
        SNN / ANN with the figure divided and multiplied by :data:`FACTOR`; the ANN in int8 where the model prices it.
    """

    figure: str
    smaller: float
    larger: float


def swings(model: EnergyModel, activity: Activity) -> tuple[Swing, ...]:
    """Every figure that moves the ratio, the one that moves it most first."""
    found = []
    for name, figure in model.figures.items():
        low, high = (
            _ratio(_with(model, name, figure, figure.value * factor), activity)
            for factor in (1 / FACTOR, FACTOR)
        )
        if low != high:
            found.append(Swing(f"{name.replace('_', ' ')} ({figure.value:g} {figure.unit})", low, high))
    return tuple(sorted(found, key=lambda swing: -abs(swing.larger - swing.smaller)))


def _with(model: EnergyModel, name: str, figure: Figure[float], value: float) -> EnergyModel:
    changed = figure.model_copy(update={"value": value})
    return model.model_copy(update={"figures": {**model.figures, name: changed}})


def _ratio(model: EnergyModel, activity: Activity) -> float:
    energy = price(model, activity)
    return energy.snn_joule / (energy.ann_int8_joule or energy.ann_joule)


def layer_break_even(
    layer: LayerCount, runs: float, models: Mapping[str, EnergyModel]
) -> tuple[float, dict[str, float | None]] | None:
    """Spikes that an input of a layer sends, and how many it may send; None for a layer without synapses.

    Parameters
    ----------
    layer : LayerCount
        Counts of a sample, in which the layer's program runs ``runs`` times.

    Returns
    -------
    arriving : float
        Spikes of an input in one run, mean over the layer's synapses.
    even : dict of str to float or None
        By model, how many would cost what the same connections cost in an int8 ANN, which multiplies each weight once a
        run and writes each output once; the updates of the neurons are paid in any case. None where even silence costs
        more, where nothing arrives, or where the model prices no int8 ANN.
    """
    if not layer.synapses or not runs:
        return None
    arriving = layer.sops / (layer.synapses * runs)
    activity = Activity(
        sops=layer.sops,
        spikes=layer.spikes,
        neuron_updates=layer.neuron_updates,
        host_macs=0.0,
        rate=arriving,
        ann_macs=layer.synapses * runs,
        messages=layer.messages,
        active_updates=layer.active_updates,
        ann_activations=layer.neurons * runs,
        graded_sops=layer.graded_sops,
    )
    return arriving, {name: break_even_rate(model, activity) for name, model in models.items()}
