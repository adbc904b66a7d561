"""The ANN twin of VQ-SVAE: same topology, ReLU, one step, its own codebook."""

from __future__ import annotations

from torch import Tensor, nn

from .vector_quantised import VectorQuantised, VQConfig, decoder_maps, encoder_maps


class VQVAE(VectorQuantised):
    """Vector-quantised autoencoder with the layers of :class:`~.vq_svae.VQSVAE`.

    The losses are the same but for the one on postsynaptic potentials, which needs spikes.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.encoder = _relu_layers(encoder_maps(config))
        self.generator = _relu_layers(decoder_maps(config))
        self.head = nn.ConvTranspose2d(config.channels[0], config.in_channels, 3, padding=1)

    def encode(self, images: Tensor) -> Tensor:
        """Quantiser inputs (N, D, h, w) of images (N, C, H, W) in [-1, 1]."""
        z: Tensor = self.encoder(images)
        return z

    def tokens(self, images: Tensor) -> Tensor:
        """Codes (N, h, w), int64, of images (N, C, H, W)."""
        return self.codebook.nearest(self.encode(images))

    def decode(self, tokens: Tensor) -> Tensor:
        """Images (N, C, H, W) of codes (N, h, w)."""
        return self.decode_vectors(self.codebook.lookup(tokens))

    def decode_vectors(self, vectors: Tensor) -> Tensor:
        """Images (N, C, H, W) of code vectors (N, D, h, w)."""
        images: Tensor = self.head(self.generator(vectors)).tanh()
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images (N, C, H, W) from their codes."""
        return self.decode_vectors(self.codebook(self.encode(images)).vectors)

    def losses(self, images: Tensor, rate_penalty: float = 0.0) -> dict[str, Tensor]:
        """Training losses of a batch; there are no spikes to penalise."""
        quantised = self.quantise(self.encode(images))
        losses = self.reconstruction_losses(self.decode_vectors(quantised.vectors), images)
        total = losses["rec"] + quantised.loss
        return {"total": total, **losses, "vec": quantised.loss, **self.usage(quantised.tokens)}


def _relu_layers(maps: list[tuple[str, nn.Module, nn.BatchNorm2d]]) -> nn.Sequential:
    return nn.Sequential(*(layer for _, affine, norm in maps for layer in (affine, norm, nn.ReLU())))
