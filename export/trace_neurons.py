"""snnTorch neurons as graph nodes: every setting that the chip's neuron does not have is refused by name."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import Tensor

from .errors import ExportError
from .graph import LI, LIF
from .linear import Shape

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
    if not isinstance(module, snn.Leaky) or type(module).forward is not snn.Leaky.forward:
        raise ExportError(
            f"{path}: {type(module).__name__} neurons are not supported; supported: snn.Leaky as it is"
        )
    beta = module.beta.detach().clamp(0, 1).cpu().numpy()
    if beta.size != 1 and np.ptp(beta) != 0:
        raise ExportError(
            f"{path}: beta differs between neurons, a population has one decay register; train one beta"
        )
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
        return LI(shape, float(beta.flat[0]))
    if reset != "zero":
        raise ExportError(
            f"{path}: reset_mechanism is {reset!r}, the chip's is zero; train with reset_mechanism='zero'"
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
    return LIF(shape, float(beta.flat[0]), threshold)


def _reset(path: str, module: snn.Leaky) -> str:
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
