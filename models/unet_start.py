"""Initial weights of the spiking U-Net from its trained ANN twin, which learns in a fraction of the time.

Starting surrogate gradients from a converted network is the hybrid training of Rathi et al. (arXiv 2005.01807). Both
networks have the same blocks, so that convolutions are taken over as they are. What differs is the range: neurons tell a
rate between 0 and 1, so each channel of a stream is scaled to the range where that follows the activation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .potentials import leaky_weights
from .spiking_unet import READOUT_BETA, SpikingUNet, SwishTail
from .unet_ann import Residual, UNet
from .unet_blocks import SpikingResample, SpikingResidual

IMAGES = 64  # that ranges are measured on
SPREAD = 1.0  # standard deviation of a current, in thresholds
FLATTEST = 0.25  # least spread of a channel that counts, relative to the mean of its stream's channels
ROWS = 20_000  # pixels that a linear layer is fitted to
RIDGE = 1e-4


def start_from_twin(network: SpikingUNet, twin: UNet, images: Tensor) -> None:
    """Set the weights of ``network`` to what those of its trained twin are in terms of spikes.

    The first layer of neurons, which the twin lacks, keeps its weights; the layer behind it and a linear tail are fitted
    to what the twin has there by least squares.

    Parameters
    ----------
    network : SpikingUNet
        Of the same plan; a build whose shortcuts read the stream.
    twin : UNet
        Trained.
    images : Tensor
        Training images (N, C, H, W) in [-1, 1]; the first are seen at random indices of the diffusion. What is drawn
        follows from torch's seed.
    """
    if network.config.build == "lean":
        raise ValueError("shortcuts of a lean build read spikes; those of the twin read the stream")
    twin.eval()
    network.train()
    seen, times, _ = twin.draw(images[:IMAGES])
    with torch.no_grad():
        ranges = _Ranges(twin, seen, times, network.config.timesteps)
        network.embedding.load_state_dict(twin.embedding.state_dict())
        left, here = ["coding"], "coding"
        for index, stage in enumerate(network.plan.stages):
            block, known = network.get_submodule(stage.name), twin.get_submodule(stage.name)
            if isinstance(block, SpikingResidual):
                assert isinstance(known, Residual)
                sources = [here, left.pop()] if stage.skip else [here]
                _residual(block, known, ranges, sources)
            else:
                assert isinstance(block, SpikingResample)
                assert isinstance(known, nn.Sequential)
                _resample(block, known, ranges, here)
            here = stage.name
            if index < len(network.plan.down):
                left.append(here)
        _entrance(network, twin, ranges, seen)
        _calibrate(network, seen, times)
        _tail(network, twin, seen, times)


class _Ranges:
    """Factors of the twin's streams and inner currents by channel, and what is added to all of them.

    A neuron tells its current rounded down to a number of spikes; half a spike more rounds to the nearest. An identity
    as shortcut leaves two streams no factors of their own.
    """

    def __init__(self, twin: UNet, seen: Tensor, times: Tensor, timesteps: int) -> None:
        self.offset = 1 / (2 * timesteps)
        spread: dict[str, Tensor] = {}
        inner: dict[str, Tensor] = {}
        hooks = []
        vectors = twin.embedding(times)
        names = ["coding", *(stage.name for stage in twin.plan.stages)]
        for name in names:
            block = twin.get_submodule(name)

            def keep(module: nn.Module, given: Any, stream: Tensor, name: str = name) -> None:
                spread[name] = _spread(stream)

            hooks.append(block.register_forward_hook(keep))
            if isinstance(block, Residual):

                def keep_inner(
                    module: nn.Module, given: Any, out: Tensor, name: str = name, block: Residual = block
                ) -> None:
                    inner[name] = _spread(out + block.time(vectors)[:, :, None, None])

                hooks.append(block.norm1.register_forward_hook(keep_inner))
        try:
            twin.predict(seen, times)
        finally:
            for hook in hooks:
                hook.remove()
        tied = [["coding"]]
        for _, name in pairwise(names):
            block = twin.get_submodule(name)
            if isinstance(block, Residual) and isinstance(block.shortcut, nn.Identity):
                tied[-1].append(name)
            else:
                tied.append([name])
        self.stream = {
            name: _factor(torch.stack([spread[n] for n in group]).mean(0)) for group in tied for name in group
        }
        self.inner = {name: _factor(found) for name, found in inner.items()}


def _spread(values: Tensor) -> Tensor:
    return values.std((0, 2, 3))


def _factor(spread: Tensor) -> Tensor:
    return SPREAD / spread.clamp(min=float(spread.mean()) * FLATTEST)


def _kernel(target: nn.Conv2d, source: nn.Conv2d, inputs: Tensor) -> None:
    """A convolution that a normalisation follows, of inputs that were scaled; its bias is of no effect."""
    target.weight.copy_(source.weight / inputs[:, None, None] * inputs.mean())
    assert target.bias is not None
    target.bias.zero_()


def _residual(block: SpikingResidual, known: Residual, ranges: _Ranges, sources: list[str]) -> None:
    inputs = torch.cat([ranges.stream[name] for name in sources])
    inner, out = ranges.inner[block.name], ranges.stream[block.name]
    _kernel(block.conv1, known.conv1, inputs)
    block.norm1.weight.copy_(known.norm1.weight * inner)
    block.norm1.bias.copy_(known.norm1.bias * inner + ranges.offset)
    block.time.linear.weight.copy_(known.time.linear.weight * inner[:, None])
    block.time.linear.bias.copy_(known.time.linear.bias * inner)
    _kernel(block.conv2, known.conv2, inner)
    block.norm2.weight.copy_(known.norm2.weight * out)
    block.norm2.bias.copy_(known.norm2.bias * out)
    if isinstance(block.shortcut, nn.Conv2d):
        assert isinstance(known.shortcut, nn.Conv2d)
        assert block.shortcut.bias is not None
        assert known.shortcut.bias is not None
        weight = known.shortcut.weight * out[:, None, None, None] / inputs[:, None, None]
        block.shortcut.weight.copy_(weight)
        # The inputs have the offset, and what leaves should have it too.
        missing = ranges.offset * (1 - weight.sum((1, 2, 3)))
        block.shortcut.bias.copy_(known.shortcut.bias * out + missing)


def _resample(block: SpikingResample, known: nn.Sequential, ranges: _Ranges, source: str) -> None:
    source_conv, source_norm = known[-2], known[-1]
    assert isinstance(source_conv, nn.Conv2d)
    assert isinstance(source_norm, nn.BatchNorm2d)
    out = ranges.stream[block.name]
    _kernel(block.conv, source_conv, ranges.stream[source])
    block.norm.weight.copy_(source_norm.weight * out)
    block.norm.bias.copy_(source_norm.bias * out + ranges.offset)


def _entrance(network: SpikingUNet, twin: UNet, ranges: _Ranges, seen: Tensor) -> None:
    """The layer behind the first neurons, fitted to the twin's first stream."""
    current = network.coding_norm(network.coding(seen))
    spikes = network.coding_n.sequence(current.expand(network.config.timesteps, *current.shape)).mean(0)
    wanted = ranges.stream["coding"][:, None, None] * twin.coding(seen) + ranges.offset
    fit(network.entrance, spikes, wanted)
    told = network.entrance(spikes)
    network.entrance_norm.weight.copy_(_spread(told))
    network.entrance_norm.bias.copy_(told.mean((0, 2, 3)))


def _calibrate(network: SpikingUNet, seen: Tensor, times: Tensor) -> None:
    """Raise the gain of normalisations, which see single time steps, until means over them have the spread that is meant."""
    steps, hooks = network.config.timesteps, []

    def raise_gain(norm: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
        assert isinstance(norm, nn.BatchNorm2d)
        means = out.unflatten(0, (steps, -1)).mean(0)
        gain = (_spread(out) / _spread(means)).nan_to_num(1).clamp(1, steps)  # a channel may be silent
        centre = norm.bias[:, None, None]
        norm.weight.mul_(gain)
        return (out - centre) * gain[:, None, None] + centre

    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and name != "coding_norm" and not name.startswith("tail"):
            hooks.append(module.register_forward_hook(raise_gain))
    try:
        network.predict(seen, times)
    finally:
        for hook in hooks:
            hook.remove()


def _tail(network: SpikingUNet, twin: UNet, seen: Tensor, times: Tensor) -> None:
    """The last layers: fitted where they are linear; taken over where they are the twin's, the side branch silent."""
    weights = leaky_weights(network.config.timesteps, READOUT_BETA)
    total = weights.sum()
    if isinstance(network.tail, SwishTail):
        norm, _, last = twin.tail
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        network.tail.norm.weight.copy_(norm.weight)
        network.tail.norm.bias.copy_(norm.bias)
        network.tail.conv.weight.copy_(last.weight / total)
        assert network.tail.conv.bias is not None
        network.tail.conv.bias.copy_(last.bias / total)
        network.tail.side_norm.weight.zero_()
        return
    assert isinstance(network.tail, nn.Conv2d)
    assert network.tail.bias is not None
    streams, _ = network.streams(seen, times)
    fit(network.tail, torch.einsum("t,t...->...", weights, streams), twin.predict(seen, times)[0])
    network.tail.bias.div_(total)  # it enters at every step


def fit(layer: nn.Conv2d, inputs: Tensor, wanted: Tensor) -> None:
    """Weights and bias of a convolution by least squares over some pixels, the weights with a slight penalty.

    Parameters
    ----------
    layer : nn.Conv2d
        Of stride 1 that keeps the sides.
    inputs : Tensor
        Shape (N, in, H, W).
    wanted : Tensor
        What the layer should make of them, (N, out, H, W).
    """
    assert layer.bias is not None
    assert isinstance(layer.padding, tuple)
    patches = (
        nn.functional.unfold(inputs, layer.kernel_size, padding=layer.padding).transpose(1, 2).flatten(0, 1)
    )
    values = wanted.flatten(2).transpose(1, 2).flatten(0, 1)
    some = torch.randperm(len(patches))[:ROWS]
    x, y = patches[some].double(), values[some].double()
    centre, middle = x.mean(0), y.mean(0)
    x, y = x - centre, y - middle
    square = x.T @ x
    square.diagonal().add_(RIDGE * float(square.diagonal().mean()))
    weight = torch.linalg.solve(square, x.T @ y)
    layer.weight.copy_(weight.T.reshape(layer.weight.shape))
    layer.bias.copy_(middle - centre @ weight)
