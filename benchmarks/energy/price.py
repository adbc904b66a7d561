"""Prices an activity under a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .activity import SPIKE_DRIVEN, Activity
from .model import EnergyModel, Term


@dataclass(frozen=True)
class Energy:
    """One model's figures for a sample, in joules.

    Attributes
    ----------
    title : str
        The model's printed name.
    snn_joule : float
        Chip and host together.
    host_joule : float
        The host's share of it.
    ann_joule, ann_int8_joule : float
        The ANN in 32-bit floats, and in the spiking network's 8-bit integers (None where the model does not
        price it).
    ratio : float
        ``snn_joule / ann_joule``.
    break_even_rate : float or None
        Mean spikes a neuron and step at which the spiking network costs what the int8 ANN costs, spike-driven
        counts in proportion and the rest unchanged. Above 1 it costs less at any rate; None where it never
        breaks even, or where nothing fired or no int8 ANN is priced.
    parts : dict of str to float
        Contributions, which sum to ``snn_joule``.
    assumptions, sources : tuple of str
        What stands behind the figures.
    """

    title: str
    snn_joule: float
    host_joule: float
    ann_joule: float
    ann_int8_joule: float | None
    ratio: float
    break_even_rate: float | None
    parts: dict[str, float]
    assumptions: tuple[str, ...]
    sources: tuple[str, ...]


def price(model: EnergyModel, activity: Activity) -> Energy:
    """What a sample costs under a model."""
    priced = [part for part in model.parts if part.per != "graded_sops" or activity.graded_sops]
    parts = {part.name: _energy(model, (part,), activity) for part in priced}
    snn = sum(parts.values())
    ann = _energy(model, model.ann_fp32, activity)
    int8 = _energy(model, model.ann_int8, activity) if model.ann_int8 else None
    even = break_even_rate(model, activity)
    return Energy(
        title=model.title,
        snn_joule=snn,
        host_joule=sum(parts[part.name] for part in model.parts if part.place == "host"),
        ann_joule=ann,
        ann_int8_joule=int8,
        ratio=snn / ann,
        break_even_rate=even,
        parts=parts,
        assumptions=(*model.assumptions, *_remarks(model, activity, even)),
        sources=model.sources,
    )


def break_even_rate(model: EnergyModel, activity: Activity) -> float | None:
    """Spike rate at which the spiking network costs what the int8 ANN costs; see :class:`Energy`.

    With ``E(r) = fixed + driven * r / rate`` equal to the ANN's energy A, ``r = rate * (A - fixed) /
    driven``.
    """
    driven = _energy(model, [p for p in model.parts if p.per in SPIKE_DRIVEN], activity)
    fixed = _energy(model, [p for p in model.parts if p.per not in SPIKE_DRIVEN], activity)
    int8 = _energy(model, model.ann_int8, activity)
    if not model.ann_int8 or not driven or not activity.rate or fixed > int8:
        return None
    return activity.rate * (int8 - fixed) / driven


def _energy(model: EnergyModel, terms: Sequence[Term], activity: Activity) -> float:
    return sum((activity.amount(term.per) * model.joule(term) for term in terms), 0.0)


def _remarks(model: EnergyModel, activity: Activity, even: float | None) -> list[str]:
    """Assumptions that depend on what was counted."""
    priced = {part.per for part in model.parts}
    remarks = []
    if "active_updates" in priced and activity.active_updates is None:
        remarks.append("Every neuron update is priced as active: the run recorded no states.")
    if "messages" in priced and activity.messages is None:
        remarks.append("Every spike is taken to go to one destination.")
    if "hops_east_west" in priced:
        remarks.append(
            "Hops between tiles are not priced because nothing is placed."
            if activity.hops_east_west is None
            else "Hops are an estimate: cores lie along the mesh in the order of the placement, and the links between "
            "chips are not priced."
        )
    if activity.graded_sops:
        remarks.append(
            "A message that carries a value costs what one without does."
            if "graded_sops" in priced
            else "A synaptic operation of a graded spike costs what one of a plain spike does, and so does its message: "
            "multiplying and the bits of its value are not priced."
        )
    if not activity.rate:
        remarks.append("There is no break-even rate because nothing fired.")
    elif even is not None and even > 1:
        remarks.append("A break-even rate above 1 spike a step means that the chip costs less at any rate.")
    return remarks
