"""Runs the user's own module through time and keeps what every neuron did: the source that all levels are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .trace import first_states, reset_states, untouched


@dataclass(frozen=True, eq=False)
class ModuleRun:
    """What a module did over one sample length.

    Attributes
    ----------
    spikes : dict of str to ndarray of uint8
        By neuron module (its path with ``_`` for ``.``, as in the traced graph): (samples, timesteps, neurons).
    membranes : dict of str to ndarray of float32
        After each step, same layout. A neuron that has just fired still shows the membrane that made it fire where
        snnTorch delays the reset.
    output : ndarray
        Output of the last step, (samples, ...).
    """

    spikes: dict[str, NDArray[np.uint8]]
    membranes: dict[str, NDArray[np.float32]]
    output: NDArray[np.float32]


def run_module(
    module: nn.Module,
    samples: Tensor,
    timesteps: int,
    *,
    method: str = "forward",
    coding: str = "direct",
    states: Sequence[Tensor] | None = None,
) -> ModuleRun:
    """Step a module of snnTorch neurons from zero state, and leave it as it was.

    Parameters
    ----------
    samples : Tensor
        Direct coding: (samples, ...); spike coding: (samples, timesteps, ...).
    method : str
        What computes one step.
    states : sequence of Tensor, optional
        As in :func:`spikewright.export.trace.trace`.
    """
    step = getattr(module, method)
    # Membranes that the step wants handed in: without one, a neuron goes on from its own.
    unset = [None for p in list(signature(step).parameters.values())[1:] if p.default is p.empty]
    spikes: dict[str, list[Tensor]] = {}
    membranes: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(neuron: Any, inputs: Any, output: Any) -> None:
            fired = output[0] if isinstance(output, tuple) else output
            spikes.setdefault(name, []).append(fired.flatten(1).to(torch.uint8))
            membranes.setdefault(name, []).append(neuron.mem.flatten(1).clone())

        return hook

    neurons = {
        path.replace(".", "_"): m for path, m in module.named_modules() if isinstance(m, snn.SpikingNeuron)
    }
    handles = [m.register_forward_hook(keep(name)) for name, m in neurons.items()]
    try:
        with torch.no_grad(), untouched(module):
            module.eval()
            reset_states(module)
            carried = first_states(module, len(samples), states)
            for t in range(timesteps):
                out = step(samples if coding == "direct" else samples[:, t], *(carried or unset))
                if carried:
                    carried = list(out[1 : 1 + len(carried)])
    finally:
        for handle in handles:
            handle.remove()
    result = out[0] if isinstance(out, tuple) else out
    return ModuleRun(
        {name: torch.stack(s, 1).numpy() for name, s in spikes.items()},
        {name: torch.stack(m, 1).numpy() for name, m in membranes.items()},
        result.numpy(),
    )
