"""The networks of the comparison, from one layer to the published size of ESVAE, with their inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...models.data import load_images, prepare
from ...models.esvae import BETA, ESVAE, READOUT_BETA, SIZES, ESVAEConfig
from .builder import GRID, Builder, on_grid
from .calibrate import calibrated
from .workers.network import Kind, Layer, Network

#: A decay of one eighth a step is exact in registers of twelve bits and in floats alike.
LEAK = 0.875
SEED = 0
#: Samples that thresholds are chosen on.
CALIBRATION_SAMPLES = 4
#: Layers spike about as often as the input, within these bounds.
RATES = (0.03, 0.15)
IMAGE_RATE = 0.1


def one_layer() -> Network:
    """512 inputs to 512 neurons, 500 steps."""
    build = Builder((512,), SEED)
    build.linear(512)
    build.lif(LEAK)
    return build.network("one layer", 500)


def mlp() -> Network:
    """784-512-256-10, 32 steps."""
    build = Builder((784,), SEED)
    for size in (512, 256, 10):
        build.linear(size)
        build.lif(LEAK)
    return build.network("MLP", 32)


def cnn() -> Network:
    """2x28x28, three convolutions 3x3 to 16, 32 and 64 channels, the last two with stride 2, 16 steps."""
    build = Builder((2, 28, 28), SEED)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        build.conv(channels, 3, stride=stride, padding=1)
        build.lif(LEAK)
    return build.network("CNN", 16)


def nmnist() -> Network:
    """The N-MNIST network of the NIR paper (its ``cnn_sinabs.nir``), 32 steps; neurons do not leak."""
    build = Builder((2, 34, 34), SEED)
    build.conv(16, 5, stride=2, padding=1)
    build.lif(1.0)
    build.conv(16, 3, padding=1)
    build.lif(1.0)
    build.pool(2)
    build.conv(8, 3, padding=1)
    build.lif(1.0)
    build.pool(2)
    for size in (256, 10):
        build.linear(size)
        build.lif(1.0)
    return build.network("N-MNIST CNN", 32)


def residual() -> Network:
    """2x32x24, a stem and three residual blocks with strides 1, 2 and 2, 8 steps.

    A block's spikes, or a convolution of them 1x1 where the shape changes, are added to the current of its second
    convolution.
    """
    build = Builder((2, 32, 24), SEED)
    build.conv(16, 3, padding=1)
    skip = build.lif(LEAK)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        build.conv(channels, 3, stride=stride, padding=1)
        build.lif(LEAK)
        main = build.conv(channels, 3, padding=1)
        if stride > 1:
            skip = build.conv(channels, 1, stride=stride, after=skip)
        build.plus(main, skip)
        skip = build.lif(LEAK)
    build.linear(10)
    build.lif(LEAK)
    return build.network("residual", 8)


def esvae(config: ESVAEConfig = SIZES["paper"]) -> Network:
    """ESVAE at its published size: the layers of ``models/esvae.py`` with normalisation folded away, 16 steps."""
    torch.manual_seed(SEED)
    model = ESVAE(config)
    build = Builder((config.in_channels, *config.image), SEED)
    for name, block in model.blocks([*model.encoder_names, *model.decoder_names]):
        parts = block.affine if isinstance(block.affine, nn.Sequential) else [block.affine]
        for part in (*parts, block.reshape):
            _take(build, f"{name}_{type(part).__name__.lower()}", part)
        build.add(Layer(name, "lif", (build.last,), build.shape(build.last), beta=BETA))
    _take(build, "head", model.head)
    build.add(Layer("readout", "readout", (build.last,), build.shape(build.last), beta=READOUT_BETA))
    return Network("ESVAE", config.timesteps, "direct", build.input_shape, tuple(build.layers))


def _take(build: Builder, name: str, part: nn.Module) -> None:
    """Add a torch layer; its biases are rounded to the grid as its weights are."""
    shape = build.shape(build.last)
    if isinstance(part, nn.Identity):
        return
    kind: Kind
    if isinstance(part, nn.Flatten):
        build.add(Layer(name, "flatten", (build.last,), (prod(shape),)))
        return
    if isinstance(part, nn.Unflatten):
        build.add(Layer(name, "unflatten", (build.last,), tuple(part.unflattened_size)))
        return
    assert isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    assert part.bias is not None
    out = tuple(part(torch.zeros(1, *shape)).shape[1:])
    scale = 127 * GRID / float(part.weight.detach().abs().max())
    weight = on_grid(part.weight.detach().double().numpy())
    bias = np.rint(part.bias.detach().double().numpy() * (scale / GRID)) * GRID
    kind = "linear" if isinstance(part, nn.Linear) else "conv"
    layer = Layer(name, kind, (build.last,), out, weight, bias.astype(np.float32))
    if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
        layer = replace(layer, stride=part.stride[0], padding=int(part.padding[0]))
    if isinstance(part, nn.ConvTranspose2d):
        layer = replace(layer, kind="transposed", output_padding=part.output_padding[0])
    build.add(layer)


@dataclass(frozen=True)
class Entry:
    """A network of the comparison.

    Attributes
    ----------
    title : str
        What a reader calls it.
    """

    title: str
    build: Callable[[], Network]


NETWORKS: dict[str, Entry] = {
    "one-layer": Entry("One layer, 512 inputs, 512 neurons, 500 steps", one_layer),
    "mlp": Entry("MLP 784-512-256-10, 32 steps", mlp),
    "cnn": Entry("CNN, 2x28x28, three convolutions, 16 steps", cnn),
    "nmnist": Entry("N-MNIST network of the NIR paper, 32 steps", nmnist),
    "residual": Entry("Residual network, 2x32x24, three blocks, 8 steps", residual),
    "esvae": Entry("ESVAE, published size, 16 steps", esvae),
}


def draw_inputs(
    network: Network, density: float | None, samples: int
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Random spikes of a density, or digits for a network that sees images."""
    if network.coding == "direct":
        height, width = network.input_shape[1:]
        images = prepare(load_images("digits", "test"), (height, width), "resize")
        return np.ascontiguousarray(np.resize(images, (samples, *network.input_shape)), np.float32)
    assert density is not None
    random = np.random.default_rng([SEED, round(1000 * density)])
    noise = random.random((samples, network.steps, *network.input_shape), np.float32)
    return (noise < density).astype(np.uint8)


def make(
    entry: Entry, density: float | None, samples: int
) -> tuple[Network, NDArray[np.uint8] | NDArray[np.float32]]:
    """A network with thresholds for a density, and inputs of that density.

    Returns
    -------
    Network
    ndarray
        Inputs, (samples, ...).
    """
    network = entry.build()
    inputs = draw_inputs(network, density, max(samples, CALIBRATION_SAMPLES))
    rate = IMAGE_RATE if density is None else float(np.clip(density, *RATES))
    network = calibrated(network, torch.from_numpy(inputs[:CALIBRATION_SAMPLES]), rate)
    return network, inputs[:samples]
