"""VQ-SVAE: the spiking vector-quantised autoencoder of Spiking-Diffusion (Liu et al., arXiv 2308.10187).

Direct coding, stride-2 convolutions with batch normalisation, hard reset LIF neurons; the spikes of the last encoder
layer, summed over time with learned weights, choose a code each; an adaptive generator turns codes into spikes again,
and transposed convolutions into an image, read from a leaky membrane through tanh. Constants follow the authors' code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import snntorch as snn
import torch
from torch import Tensor, nn

from .block import SpikingBlock
from .codebook import COMMITMENT
from .neurons import Leaky
from .potentials import leaky_weights, postsynaptic_potential
from .spike_losses import mean_rate
from .surrogates import ATan
from .vector_quantised import VectorQuantised, VQConfig, decoder_maps, encoder_maps

BETA = 0.5  # membrane decay of every spiking layer: tau = 2
THRESHOLD = 1.0
# A neuron of tau 2 takes in half its current, h = v + (x - v) / 2. The half enters once, as the initial weight of the
# normalisation before it: at the start the membranes are the published ones, and no factor is left to export.
CURRENT_SCALE = 0.5
READOUT_BETA = 0.8  # of the image read-out and of the sum that the quantiser sees
PSP_TAU = 2.0


def lif_block(affine: nn.Module, norm: nn.BatchNorm2d) -> SpikingBlock:
    """A spiking layer as published."""
    return SpikingBlock(affine, norm, Leaky(BETA, THRESHOLD, ATan()), CURRENT_SCALE)


@dataclass
class Reconstruction:
    """What a forward pass yields.

    Attributes
    ----------
    images : Tensor
        Reconstructed images (N, C, H, W) in [-1, 1].
    tokens : Tensor
        Codes (N, h, w), int64.
    spikes : dict of str to Tensor
        Spikes (T, N, ...) by layer name.
    """

    images: Tensor
    tokens: Tensor
    spikes: dict[str, Tensor]


class VQSVAE(VectorQuantised):
    """Spiking vector-quantised autoencoder.

    Two orders of evaluation over the same modules: :meth:`forward` takes whole sequences layer by layer (training);
    :meth:`encode_step` and :meth:`decode_step` take one time step with snnTorch's hidden state (deployment). What
    lies between the two, :meth:`quantiser_weights` and the nearest code, is the host's.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.encoder_names: list[str] = []
        self.decoder_names: list[str] = []
        for names, maps in (
            (self.encoder_names, encoder_maps(config)),
            (self.decoder_names, decoder_maps(config)),
        ):
            for name, affine, norm in maps:
                self.add_module(name, lif_block(affine, norm))
                names.append(name)
        self.mix = nn.Parameter(torch.tensor(0.5))  # the published alpha: share of the firing rate
        self.head = nn.ConvTranspose2d(config.channels[0], config.in_channels, 3, padding=1)
        self.readout = snn.Leaky(beta=READOUT_BETA, reset_mechanism="none", init_hidden=True, output=True)

    def blocks(self, names: list[str]) -> Iterator[tuple[str, SpikingBlock]]:
        """Blocks by name, in order of evaluation."""
        for name in names:
            block = self.get_submodule(name)
            assert isinstance(block, SpikingBlock)
            yield name, block

    def quantiser_weights(self) -> Tensor:
        """Weight of a spike at each step in what the quantiser sees, shape (T,).

        ``(1 - alpha) 0.8^(T-1-t) + alpha / T``: the last membrane of a leaky integrator, mixed with the firing rate.
        """
        steps = self.config.timesteps
        return (1 - self.mix) * leaky_weights(steps, READOUT_BETA).to(self.mix) + self.mix / steps

    def encode(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Quantiser inputs (N, D, h, w) and spikes (T, N, ...) by layer, for images (N, C, H, W) in [-1, 1]."""
        spikes: dict[str, Tensor] = {}
        x = images
        for index, (name, block) in enumerate(self.blocks(self.encoder_names)):
            x = block.static_sequence(x, self.config.timesteps) if index == 0 else block.sequence(x)
            spikes[name] = x
        return torch.einsum("t,t...->...", self.quantiser_weights(), x), spikes

    def tokens(self, images: Tensor) -> Tensor:
        """Codes (N, h, w), int64, of images (N, C, H, W); neurons start from rest."""
        return self.codebook.nearest(self.encode(images)[0])

    def decode(self, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Images (N, C, H, W) and decoder spikes of codes (N, h, w)."""
        return self.decode_vectors(self.codebook.lookup(tokens))

    def decode_vectors(self, vectors: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """As :meth:`decode`, for code vectors (N, D, h, w) or what training has in their place."""
        spikes: dict[str, Tensor] = {}
        x = vectors
        for index, (name, block) in enumerate(self.blocks(self.decoder_names)):
            x = block.static_sequence(x, self.config.timesteps) if index == 0 else block.sequence(x)
            spikes[name] = x
        # The head is linear, so the leaky sum over time may be taken before it: one evaluation instead of T.
        weights = leaky_weights(self.config.timesteps, READOUT_BETA).to(x)
        membrane = self.head(torch.einsum("t,t...->...", weights, x))
        assert self.head.bias is not None
        membrane = membrane + (weights.sum() - 1) * self.head.bias[:, None, None]
        return torch.tanh(membrane), spikes

    def forward(self, images: Tensor) -> Reconstruction:
        """Reconstruct images (N, C, H, W) from their codes."""
        z, encoded = self.encode(images)
        quantised = self.codebook(z)
        decoded, spikes = self.decode_vectors(quantised.vectors)
        return Reconstruction(decoded, quantised.tokens, {**encoded, **spikes})

    def encode_step(self, image: Tensor) -> Tensor:
        """One time step: image (N, C, H, W) to spikes of the last encoder layer (N, D, h, w)."""
        x = image
        for _, block in self.blocks(self.encoder_names):
            x = block(x)
        return x

    def decode_step(self, vectors: Tensor) -> Tensor:
        """One time step: code vectors (N, D, h, w), the same at each, to the image read out so far (N, C, H, W)."""
        x = vectors
        for _, block in self.blocks(self.decoder_names):
            x = block(x)
        _, membrane = self.readout(self.head(x))
        return torch.tanh(membrane)

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        images : Tensor
            Batch (N, C, H, W) in [-1, 1].
        rate_penalty : float
            Weight of the mean firing rate over all spiking neurons; 0 is the published loss.
        """
        z, encoded = self.encode(images)
        quantised = self.quantise(z)
        decoded, spikes = self.decode_vectors(quantised.vectors)
        losses = self.reconstruction_losses(decoded, images)
        made, given = spikes[self.decoder_names[0]], encoded[self.encoder_names[-1]]
        # The filter is linear, so it may be applied to the difference.
        psp = postsynaptic_potential(made - given.detach(), PSP_TAU).square().mean()
        psp = psp + COMMITMENT * postsynaptic_potential(made.detach() - given, PSP_TAU).square().mean()
        rate = mean_rate([*encoded.values(), *spikes.values()])
        total = losses["rec"] + quantised.loss + psp + rate_penalty * rate
        return {
            "total": total,
            **losses,
            "vec": quantised.loss,
            "psp": psp,
            "rate": rate,
            **self.usage(quantised.tokens),
        }
