"""snnTorch neurons as graph nodes: every setting that the chip's neuron does not have is refused by name."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn

from .errors import ExportError
from .formats import Reset
from .graph import LI, LIF, Floats, Synapses
from .linear import Conv2d, Shape
from .trace_layers import layer

#: What snnTorch's neuron does with its membrane, by the method it was built with.
_RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def neuron(path: str, module: snn.SpikingNeuron, shape: Shape, reads_membrane: bool) -> LIF | LI:
    """The population of a neuron module.

    Parameters
    ----------
    reads_membrane : bool
        The network uses the membrane and not the spikes: a read-out.

    Raises
    ------
    ExportError
        A setting without counterpart; the message names the module, the field and the remedy.
    """
    kind = next((cls for cls in (snn.Leaky, snn.Synaptic, snn.RLeaky) if isinstance(module, cls)), None)
    if kind is None or type(module).forward is not kind.forward:
        why = ""
        if isinstance(module, snn.RSynaptic):
            why = (
                " (snnTorch 1.0 loses the reset of RSynaptic); feed an snn.Synaptic's spikes of the step before back "
                "through a linear layer"
            )
        raise ExportError(
            f"{path}: {type(module).__name__} neurons are not supported{why}; supported: snn.Leaky, snn.Synaptic and "
            "snn.RLeaky as they are"
        )
    beta = _decay(path, module, "beta", shape)
    alpha = _decay(path, module, "alpha", shape) if kind is snn.Synaptic else np.zeros(1)
    for field, neutral in (("graded_spikes_factor", 1.0), ("inhibition", False), ("state_quant", False)):
        value = getattr(module, field)
        if not _equals(value, neutral):
            raise ExportError(f"{path}: {field} is {_short(value)}; only {neutral} maps to the chip's neuron")
    reset = _reset(path, module)
    if reads_membrane:
        if reset != "none":
            raise ExportError(
                f"{path}: its membrane is read out, reset_mechanism is {reset!r}; use reset_mechanism='none'"
            )
        return LI(shape, beta, alpha)
    if reset == "none":
        raise ExportError(
            f"{path}: sends spikes and reset_mechanism is 'none'; train with 'zero', or with 'subtract'"
        )
    if reset == "zero" and kind is not snn.Leaky and module.reset_delay:
        raise ExportError(
            f"{path}: {kind.__name__} with reset_delay=True discards what arrives as it resets, which no chip does; "
            "train with reset_delay=False"
        )
    if reset == "subtract" and not module.reset_delay:
        raise ExportError(
            f"{path}: snnTorch with reset_delay=False takes nothing off a membrane that stays above its threshold; train "
            "with reset_delay=True, or reset to zero"
        )
    threshold = module.threshold.detach().cpu().numpy().astype(np.float32).reshape(-1)
    if threshold.size not in (1, prod(shape)):
        neurons = prod(shape)
        raise ExportError(
            f"{path}: {threshold.size} thresholds for {neurons} neurons; give one, or one a neuron"
        )
    if (threshold <= 0).any():
        raise ExportError(f"{path}: threshold {threshold.min()} is not above zero; train with a positive one")
    with torch.no_grad():
        fired = module.spike_grad(torch.tensor([-1.0, 0.0, 1.0], device=module.threshold.device))
    if fired.tolist() != [0.0, 0.0, 1.0]:
        raise ExportError(
            f"{path}: spike_grad fires {fired.tolist()} below, at and above threshold; it must fire 0, 0, 1"
        )
    kept: Reset = "zero" if reset == "zero" else "subtract-delayed"
    return LIF(shape, beta, threshold, alpha=alpha, reset=kept)


def recurrence(path: str, module: snn.SpikingNeuron, shape: Shape) -> Synapses | None:
    """The synapses from a neuron's own spikes of the step before, if it has any.

    Raises
    ------
    ExportError
        A recurrent layer that is none of torch's own.
    """
    if not isinstance(module, snn.RLeaky):
        return None
    inner = module.recurrent
    if isinstance(inner, nn.Linear | nn.Conv2d):
        node = layer(f"{path}.recurrent", inner, shape, shape)
        assert isinstance(node, Synapses)
        return replace(node, lag=1)
    weight = np.broadcast_to(
        module.recurrent.V.detach().cpu().numpy().astype(np.float32).reshape(-1), (prod(shape),)
    )
    return Synapses(
        Conv2d(weight[:, None, None, None].copy(), (prod(shape), 1, 1), groups=prod(shape)), lag=1
    )


def _decay(path: str, module: Any, field: str, shape: Shape) -> Floats:
    """What a state keeps: one value, or one a neuron."""
    value: Floats = getattr(module, field).detach().clamp(0, 1).cpu().numpy().reshape(-1).astype(np.float64)
    if value.size not in (1, prod(shape)):
        raise ExportError(
            f"{path}: {value.size} values of {field} for {prod(shape)} neurons; give one, or one a neuron"
        )
    return value[:1] if np.ptp(value) == 0 else value


def _reset(path: str, module: Any) -> str:
    """Reset that the neuron really does; setting ``reset_mechanism`` later changes the name only."""
    stated = str(module.reset_mechanism)
    done = _RESETS.get(getattr(module.state_function, "__name__", ""), "of its own kind")
    trained = list(snn.SpikingNeuron.reset_dict)[int(module.reset_mechanism_val)]
    if not stated == done == trained:
        raise ExportError(
            f"{path}: reset_mechanism is {stated!r}, built with {done!r}, and its weights say {trained!r}; "
            "build it with the reset it was trained with"
        )
    return stated


def _equals(value: Any, neutral: float | bool) -> bool:
    return bool((value == neutral).all()) if isinstance(value, Tensor) else value == neutral


def _short(value: Any) -> str:
    if not isinstance(value, Tensor):
        return str(value)
    return str(value.item()) if value.numel() == 1 else f"{value.min():g} to {value.max():g}"
