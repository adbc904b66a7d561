"""Spiking-PhysFormer (Liu et al., arXiv 2402.04798): the pulse wave of a face video.

A conventional embedding, spiking transformer blocks on a stream of currents, a conventional predictor. The embedding
feeds the first neurons at every time step; between two populations everything is linear or a product of spikes.
"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor

from .neurons import Leaky
from .physformer_host import PatchEmbedding, Predictor
from .physformer_layout import PhysFormerConfig
from .pulse_losses import PulseLoss
from .pulse_network import PulseNetwork
from .spiking_attention import Change, Coincidence, Fire, ParallelBlock, ValueBlock, lif


class SpikingPhysFormer(PulseNetwork):
    """Spiking PhysFormer: :meth:`forward` takes whole clips, :meth:`step` one time step of the spiking part."""

    def __init__(self, config: PhysFormerConfig, criterion: PulseLoss | None = None) -> None:
        super().__init__(config, criterion)
        self.embedding = PatchEmbedding(config)
        self.names = [f"block{index}" for index in range(config.blocks)]
        for name in self.names:
            self.add_module(
                name, (ValueBlock if config.attention == "values" else ParallelBlock)(config, name)
            )
        self.final_n = lif()
        # Sums over the time steps what the blocks of the published variant add.
        self.readout = snn.Leaky(beta=1.0, reset_mechanism="none", init_hidden=True, output=True)
        self.predictor = Predictor(config)

    @property
    def reads_spikes(self) -> bool:
        """Whether the predictor sees spikes alone, or the embedding and what the blocks add to it."""
        return self.config.variant == "deployment"

    @property
    def parallel_blocks(self) -> list[ParallelBlock]:
        """The spiking blocks in order."""
        found = [self.get_submodule(name) for name in self.names]
        return [block for block in found if isinstance(block, ParallelBlock)]

    def body(self, embedding: Tensor, fire: Fire) -> Tensor:
        """What the host reads of one time step: spikes of the stream, or what the blocks added to the embedding."""
        stream, added = embedding, []
        for block in self.parallel_blocks:
            added.append(block.evaluate(stream, fire))
            stream = stream + added[-1]
        return fire("final_n", self.final_n, stream) if self.reads_spikes else sum(added[1:], added[0])

    def predict(self, clips: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Waves (N, frames) and spikes (T, N, ...) by population, for clips (N, 3, frames, H, W)."""
        seen, rasters = self.see(self.embedding(clips.float()))
        wave: Tensor = self.predictor(seen)
        return wave, rasters

    def see(self, embedding: Tensor, change: Change | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """What the predictor sees (N, width, ...), and all spikes, for embeddings of the same shape.

        With ``change``, populations send what it makes of their spikes.
        """
        steps, rasters = self.config.timesteps, {}

        def fire(name: str, neuron: Leaky | Coincidence, *given: Tensor) -> Tensor:
            by_step = [value.unflatten(0, (steps, -1)) for value in given]
            spikes = neuron.sequence(*by_step) if isinstance(neuron, Leaky) else neuron(*by_step)
            rasters[name] = spikes if change is None else change(name, spikes)
            return rasters[name].flatten(0, 1)

        told = self.body(embedding.repeat(steps, 1, 1, 1, 1), fire).unflatten(0, (steps, -1)).sum(0)
        return self.mean(told, embedding), rasters

    def bypass(self, embedding: Tensor) -> Tensor:
        """What the predictor sees (N, width, ...) as if no block added anything to embeddings of that shape."""
        if not self.reads_spikes:
            return self.mean(torch.zeros_like(embedding), embedding)
        stream = embedding.expand(self.config.timesteps, *embedding.shape)
        return self.mean(self.final_n.sequence(stream).sum(0), embedding)

    def step(self, embedding: Tensor) -> Tensor:
        """One time step of the spiking part: embedding (N, width, ...) to what the host reads, same shape.

        Spikes in the deployment variant; in the published one, the sum over the steps so far of what the blocks add.
        """
        told = self.body(embedding, lambda name, neuron, *given: neuron(*given))
        if self.reads_spikes:
            return told
        _, total = self.readout(told)
        read: Tensor = total
        return read

    def tell(self, totals: Tensor, embedding: Tensor) -> Tensor:
        """Waves (N, frames) from the totals (N, width, ...) over all time steps of what the blocks gave."""
        wave: Tensor = self.predictor(self.mean(totals, embedding))
        return wave

    def mean(self, totals: Tensor, embedding: Tensor) -> Tensor:
        """What the predictor sees: the mean over time steps, in the published variant added to the embedding."""
        mean = totals / self.config.timesteps
        return mean if self.reads_spikes else embedding + mean
