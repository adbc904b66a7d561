"""What one evaluation of the U-Net costs: as its paper counts, and with what that leaves out.

The paper (journal version, arXiv 2408.16467, eq. 19-20) charges the first convolution as multiply-accumulates of 4.6 pJ
and every other layer as accumulates of 0.9 pJ, ``firing rate of its input x time steps x multiply-accumulates``. But the
shortcuts and the tail read the analogue stream: what they take are multiply-accumulates as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..benchmarks.ann import MacCount
from ..benchmarks.energy import load_models
from ..benchmarks.report.generation import EvaluationEnergy
from ..export.linear import fan_out
from ..generating.tally import Tally
from ..models.spiking_unet import SpikingUNet
from .system import System

MODEL = "cmos45"  # of the paper's convention
BATCH = 32  # images that the float network sees at once


@dataclass(eq=False)
class _Layer:
    """Taps of a convolution over all that it was shown, those of values other than zero, and whether all were spikes."""

    macs: float = 0.0
    sops: float = 0.0
    spikes: bool = True


@dataclass(eq=False)
class Observed:
    """Operations of each convolution in an evaluation, mean over images.

    Attributes
    ----------
    first : float
        Multiply-accumulates of the first convolution, whose currents stay the same for all time steps.
    sops : float
        Accumulates of layers that read spikes, in all time steps.
    analogue : float
        Multiply-accumulates of layers that read the stream, in all time steps.
    analogue_sops : float
        The same as the paper charges them: times the firing rate of their block's input.
    """

    first: float
    sops: float
    analogue: float
    analogue_sops: float
    layers: dict[str, _Layer] = field(default_factory=dict)


def observe(network: SpikingUNet, images: NDArray[np.float32], seed: int = 1) -> Observed:
    """Watch a float network tell the noise in test images at random indices of the diffusion."""
    layers: dict[str, _Layer] = {}
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _watched(network, layers):
        torch.manual_seed(seed)
        for batch in torch.from_numpy(images).split(BATCH):
            network.predict(*network.corrupt(batch))
    count = len(images)
    for layer in layers.values():
        layer.macs, layer.sops = layer.macs / count, layer.sops / count
    first = layers["coding"]
    others = {name: layer for name, layer in layers.items() if name != "coding"}
    analogue = {name: layer for name, layer in others.items() if not layer.spikes}
    # The tail is linear in all builds but the published one and was evaluated once, on the sum over time.
    steps = {
        name: network.config.timesteps if name == "tail" and isinstance(network.tail, nn.Conv2d) else 1
        for name in analogue
    }
    rates = {name: _rate(others.get(name.replace(".shortcut", ".conv1"))) for name in analogue}
    return Observed(
        first=first.macs,
        sops=sum(layer.sops for layer in others.values() if layer.spikes),
        analogue=sum(layer.macs * steps[name] for name, layer in analogue.items()),
        analogue_sops=sum(layer.macs * steps[name] * rates[name] for name, layer in analogue.items()),
        layers=layers,
    )


def _rate(layer: _Layer | None) -> float:
    """Share of a spike-driven layer's operations that took place; all of them for another."""
    return 1.0 if layer is None or not layer.spikes else layer.sops / layer.macs


@contextmanager
def _watched(network: SpikingUNet, layers: dict[str, _Layer]) -> Iterator[None]:
    """Count what each convolution of a network is shown."""
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            layer = layers.setdefault(name, _Layer())
            handles.append(module.register_forward_hook(_counter(layer)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _counter(layer: _Layer) -> Any:
    def count(module: nn.Conv2d, given: tuple[Tensor, ...], out: Tensor) -> None:
        (x,) = given
        ones = torch.ones_like(module.weight)
        assert not isinstance(module.padding, str)
        reach = nn.functional.conv_transpose2d(
            torch.ones_like(out[:1]), ones, None, module.stride, module.padding,
            [(a - b) for a, b in zip(x.shape[2:], _least(module, out), strict=True)],
        )  # fmt: skip
        layer.macs += float(reach.sum()) * len(x)
        layer.sops += float(torch.einsum("nchw,chw->", (x != 0).to(reach), reach[0]))
        layer.spikes = layer.spikes and bool(((x == 0) | (x == 1)).all())

    return count


def _least(module: nn.Conv2d, out: Tensor) -> list[int]:
    """Smallest sides that a convolution maps to those of ``out``."""
    assert not isinstance(module.padding, str)
    sides = zip(out.shape[2:], module.kernel_size, module.stride, module.padding, strict=True)
    return [(n - 1) * stride - 2 * pad + kernel for n, kernel, stride, pad in sides]


def evaluation_energy(
    system: System,
    observed: Observed,
    tally: Tally,
    overhead_spikes: Mapping[str, float],
    host_macs: int,
    twin: MacCount,
) -> list[EvaluationEnergy]:
    """One evaluation by four ways of counting, each against the ANN twin in fp32.

    Parameters
    ----------
    tally : Tally
        Of the program's evaluations.
    overhead_spikes : mapping of str to float
        By population: spikes outside the windows, for each evaluation.
    host_macs : int
        Of the host for an evaluation.
    """
    figures = load_models()[MODEL].figures
    accumulate = figures["fp32_add"].value * 1e-12
    multiply = accumulate + figures["fp32_multiply"].value * 1e-12
    program = system.denoiser.program
    deployed = outside = graded = 0.0
    relays = {p.name for p in program.populations if p.graded}
    for group in program.synapses:
        reach = fan_out(group.map)
        if group.source in tally.totals:
            caused = float(tally.totals[group.source] @ reach) / tally.samples
            deployed += caused
            graded += caused if group.source in relays else 0.0
        outside += overhead_spikes.get(group.source, 0.0) * float(reach.mean())
    ann = multiply * twin.macs
    of_host = multiply * host_macs
    of_chip = accumulate * deployed + (multiply - accumulate) * graded
    shortcuts = "composed into synapses, so that only spikes are read"
    if relays:
        shortcuts = "read from relays that send values, each operation of theirs a multiply-accumulate"
    rows = [
        (
            "As the paper counts",
            multiply * observed.first + accumulate * (observed.sops + observed.analogue_sops),
            "0.9 pJ a synaptic operation, the first convolution at 4.6 pJ a multiply-accumulate; shortcuts are "
            "charged as if they read spikes, the tail as accumulates",
        ),
        (
            "With analogue layers as what they are",
            multiply * (observed.first + observed.analogue) + accumulate * observed.sops,
            "layers that read the stream take multiply-accumulates in every time step",
        ),
        (
            "As deployed",
            of_host + of_chip,
            f"shortcuts are {shortcuts}; the host's part included",
        ),
        (
            "As deployed, spikes outside the windows included",
            of_host + of_chip + accumulate * outside,
            "what populations fire before and after an image's window costs as much, at the mean fan-out of each",
        ),
    ]
    return [
        EvaluationEnergy(title=title, snn_joule=joule, ann_joule=ann, ratio=joule / ann, note=note)
        for title, joule, note in rows
    ]
