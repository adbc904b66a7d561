"""NIR's neurons in discrete time: forward Euler at a stated step, gains folded into thresholds.

With ``x`` the input of a step, ``tau v' = (v_leak - v) + R x`` becomes ``v = (1 - dt/tau) v + (dt/tau)(v_leak + R x)``.
In units of ``g = R dt/tau`` that is ``beta v + x`` with threshold ``theta / g``: weights stay as they are, and ``g`` leads
back to the file's volts. Current-based neurons have ``g = (w_in dt/tau_syn)(R dt/tau_mem)``; an input reaches current
and membrane in its own step. A sample starts with the membrane at ``v_leak`` and no current.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ExportError
from ..graph import LI, LIF, Floats
from ..linear import Shape
from .choices import Choices
from .raw import RawNode

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
NEURONS = (*SPIKING, "I", "LI", "CubaLI")


def neuron(name: str, node: RawNode, shape: Shape, choices: Choices) -> tuple[LIF | LI, Floats | None]:
    """The population of a neuron node, and a factor for its inputs where a threshold cannot carry it.

    Parameters
    ----------
    shape : tuple of int
        Of the population.

    Raises
    ------
    ExportError
        A parameter that no chip's neuron has, or a choice that nobody stated; the message names node and field.
    """

    def value(field: str, default: float | None = None) -> Floats:
        array = node.fields.get(field)
        return spread(name, field, np.asarray(default if array is None else array), shape)

    if node.kind == "Threshold":
        return LIF(shape, np.zeros(1), _thresholds(name, "threshold", value("threshold"))), None
    beta, alpha, gain = _dynamics(name, node, value, choices)
    rest = value("v_leak", 0.0)
    if node.kind in ("I", "LI", "CubaLI"):
        if rest.any():
            raise ExportError(
                f"{name}: field 'v_leak' is {_worst(rest)}; a read-out that rests elsewhere than at 0 is the host's to shift"
            )
        factor, unit = _factor(gain)
        return LI(shape, beta, alpha, unit), factor
    theta = value("v_threshold") - rest
    if (theta <= 0).any():
        raise ExportError(
            f"{name}: field 'v_threshold' is {_worst(value('v_threshold'))}, not above 'v_leak' {_worst(rest)}: the neuron "
            "fires without input"
        )
    reset = value("v_reset", 0.0)
    kind = choices.kind_of_reset(name)
    if kind == "zero" and (reset != rest).any():
        raise ExportError(
            f"{name}: field 'v_reset' is {_worst(reset)}, 'v_leak' is {_worst(rest)}; the chip's membrane resets to where "
            "it rests: make them equal, and fold the difference into a bias"
        )
    if kind != "zero" and (rest.any() or reset.any()):
        raise ExportError(
            f"{name}: resets by subtraction with v_leak {_worst(rest)} and v_reset {_worst(reset)}; both must be 0"
        )
    factor, unit = _factor(gain)
    scaled = _thresholds(name, "v_threshold", theta * unit)
    return LIF(shape, beta, scaled, alpha=alpha, reset=kind, unit=unit), factor


def _dynamics(name: str, node: RawNode, value: Any, choices: Choices) -> tuple[Floats, Floats, Floats]:
    """What membrane and current keep, and the gain of the input."""
    resistance = value("r")
    if node.kind in ("I", "IF"):
        return np.ones(1), np.zeros(1), _integrated(name, resistance, choices)
    if node.kind in ("LI", "LIF"):
        leak = _leak(name, "tau", value("tau"), choices)
        return 1 - leak, np.zeros(1), resistance * leak
    leak = _leak(name, "tau_mem", value("tau_mem"), choices)
    leak_u = _leak(name, "tau_syn", value("tau_syn"), choices)
    return 1 - leak, 1 - leak_u, resistance * leak * value("w_in", 1.0) * leak_u


def _integrated(name: str, resistance: Floats, choices: Choices) -> Floats:
    """What an input of one adds to a membrane without leak."""
    if choices.integrate == "impulse" or (resistance == 1).all():
        return resistance
    dt = choices.step(name, "r")
    if choices.integrate == "current" or np.allclose(resistance * dt, 1, rtol=1e-6, atol=0):
        return resistance * dt if choices.integrate == "current" else np.ones(1)
    raise ExportError(
        f"{name}: field 'r' is {_worst(resistance)}, and tools differ in what a spike adds to a membrane without leak: "
        "state r (--integrate impulse) or r dt (--integrate current)"
    )


def _leak(name: str, field: str, tau: Floats, choices: Choices) -> Floats:
    dt = choices.step(name, field)
    if (tau <= 0).any():
        raise ExportError(f"{name}: field {field!r} is {tau.min():g}; a time constant is above zero")
    leak = dt / tau
    # A float32 file may round tau a little below dt where the source keeps nothing.
    leak = np.where((leak > 1) & (leak < 1 + 1e-6), 1.0, leak)
    if (leak > 1).any():
        raise ExportError(
            f"{name}: field {field!r} is {tau.min():g} s, shorter than the step of {dt:g} s: the membrane would swing; "
            "state a shorter dt"
        )
    return leak


def _factor(gain: Floats) -> tuple[Floats | None, Floats]:
    """Factor for the inputs, and the graph's membrane units per unit of the file."""
    if (gain > 0).all():
        return None, 1 / gain
    return gain, np.ones(1)


def _thresholds(name: str, field: str, theta: Floats) -> NDArray[np.float32]:
    if (theta <= 0).any():
        raise ExportError(
            f"{name}: field {field!r} is {theta.min():g} in units of its input, not above zero: the neuron fires without"
        )
    return theta.astype(np.float32)


def spread(name: str, field: str, array: NDArray[Any], shape: Shape) -> Floats:
    """A parameter as one value, or one a neuron.

    Raises
    ------
    ExportError
        Its shape does not go with the population's.
    """
    values = array.astype(np.float64)
    if values.size == prod(shape):
        flat = values.reshape(-1)
    elif values.size == 1:
        return values.reshape(-1)
    elif values.ndim == len(shape) and all(a in (1, b) for a, b in zip(values.shape, shape, strict=True)):
        flat = np.broadcast_to(values, shape).reshape(-1)  # one value a channel
    else:
        raise ExportError(f"{name}: field {field!r} has shape {array.shape} for neurons of shape {shape}")
    return flat[:1] if np.ptp(flat) == 0 else flat


def _worst(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
