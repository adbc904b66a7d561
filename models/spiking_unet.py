"""The spiking U-Net of SDDPM (Cao et al., arXiv 2306.17046), which tells the noise in an image.

Direct coding into one layer of spikes, residual blocks that form their sums ahead of the neurons, membranes of a leaky
integrator as the answer. The diffusion time enters each residual block as a current of its own a channel. Blocks pass
on an analogue stream; between two populations everything is linear, so that on a chip it becomes synapses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import snntorch as snn
import torch
from torch import Tensor, nn

from .epsilon_prediction import EpsilonPrediction
from .initialise import xavier
from .neurons import Leaky
from .potentials import leaky_weights
from .time_embedding import TimeEmbedding
from .unet_blocks import Fire, HandOn, SpikingResample, SpikingResidual, conv, integrate_and_fire
from .unet_layout import UNetConfig, plan

READOUT_BETA = 0.8  # membrane decay of the read-out
PUBLISHED_GAIN, LINEAR_GAIN = 1e-5, 0.1  # of the last convolution's initial weights


class SwishTail(nn.Module):
    """The published last layers, which are the host's: ``o = conv(SiLU(BN(x)))``, out ``o + SiLU(BN(conv3d(o)))``.

    The kernel of the three-dimensional convolution is 3x3x1, so that it mixes no time steps. It reads ``o``: nothing else
    here has both an image's channels and a time axis.
    """

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = xavier(nn.Conv2d(channels, out, 3, padding=1), PUBLISHED_GAIN)
        self.side = conv(out, out)
        self.side_norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Streams (N, channels, H, W) to images (N, out, H, W)."""
        o = self.conv(nn.functional.silu(self.norm(x)))
        out: Tensor = o + nn.functional.silu(self.side_norm(self.side(o)))
        return out


class SpikingUNet(EpsilonPrediction):
    """Spiking U-Net: :meth:`forward` takes whole sequences, :meth:`step` one time step with hidden state."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        self.plan = plan(config)
        width = config.channels
        coding = config.coding_channels or width
        self.coding, self.coding_norm = conv(config.in_channels, coding), nn.BatchNorm2d(coding)
        self.coding_n = integrate_and_fire()
        self.entrance, self.entrance_norm = conv(coding, width), nn.BatchNorm2d(width)
        self.embedding = TimeEmbedding(config.diffusion_steps, width)
        for stage in self.plan.stages:
            block: nn.Module = SpikingResample(stage)
            if stage.kind == "residual":
                block = SpikingResidual(stage, 4 * width, config.build == "lean")
            self.add_module(stage.name, block)
        self.tail: nn.Module
        if config.build == "faithful":
            self.tail = SwishTail(width, config.in_channels)
            # Holds the sum of one step's currents and no more: what the host's tail reads from a chip.
            self.tap = snn.Leaky(beta=0.0, reset_mechanism="none", init_hidden=True, output=True)
        else:
            self.tail = xavier(nn.Conv2d(width, config.in_channels, 3, padding=1), LINEAR_GAIN)
        self.readout = snn.Leaky(beta=READOUT_BETA, reset_mechanism="none", init_hidden=True, output=True)
        self.relays = nn.ModuleDict()  # empty but in :meth:`relayed`

    @property
    def relay_points(self) -> tuple[str, ...]:
        """What leaves a stream that something analogue reads: the entrance, or a block.

        A shortcut reads it, at once or on the way up, or the linear tail does; where shortcuts read spikes, nothing.
        """
        if self.config.build == "lean":
            return ()
        points, leaves, taken = [], "entrance", len(self.plan.down) + 1
        for index, stage in enumerate(self.plan.stages):
            if index < taken or stage.kind == "residual":
                points.append(leaves)
            leaves = stage.name
        return (*points, leaves) if self.config.build == "chip" else tuple(points)

    @contextmanager
    def relayed(self) -> Iterator[None]:
        """Streams that something analogue reads pass through relays, which hold one step's values and change nothing.

        Whatever is traced meanwhile hands these values on instead of composing shortcuts into synapses. They are in
        :meth:`step` and :meth:`stream_step`.

        Raises
        ------
        ValueError
            The build has no analogue stream.
        """
        if not self.relay_points:
            raise ValueError(f"a {self.config.build} build reads spikes only; there is no stream to relay")
        for name in self.relay_points:
            self.relays[name] = snn.Leaky(beta=0.0, reset_mechanism="none", init_hidden=True, output=True)
        self.relays.train(self.training)
        try:
            yield
        finally:
            self.relays.clear()

    def time_currents(self, times: Tensor) -> list[Tensor]:
        """Currents of the time at indices (N,): (N, out) for each residual block, in order."""
        vectors = self.embedding(times)
        currents = []
        for stage in self.plan.timed:
            block = self.get_submodule(stage.name)
            assert isinstance(block, SpikingResidual)
            currents.append(block.time(vectors))
        return currents

    def body(
        self,
        spikes: Tensor,
        currents: list[Tensor],
        fire: Fire,
        hand_on: HandOn = lambda name, stream: stream,
    ) -> Tensor:
        """Stream (N, channels, H, W) ahead of the tail, from the spikes of the coding layer."""
        waiting = iter(currents)
        stream = hand_on("entrance", self.entrance_norm(self.entrance(spikes)))
        left: list[tuple[Tensor, Tensor]] = []  # streams of the way down, with the spikes that they became
        taken = len(self.plan.down) + 1
        for index, stage in enumerate(self.plan.stages):
            block = self.get_submodule(stage.name)
            if isinstance(block, SpikingResidual):
                skip = left.pop() if stage.skip else None
                out, fired = block.evaluate(stream, next(waiting), skip, fire)
            else:
                assert isinstance(block, SpikingResample)
                out, fired = block.evaluate(stream, fire)
            if index < taken:
                left.append((stream, fired))
            stream = hand_on(stage.name, out)
        return stream

    def predict(self, images: Tensor, times: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What is told (N, C, H, W) of images (N, C, H, W) at indices (N,), and spikes (T, N, ...) by population."""
        streams, rasters = self.streams(images, times)
        return self.tell(streams), rasters

    def streams(self, images: Tensor, times: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Streams ahead of the tail (T, N, channels, H, W), and spikes; otherwise as :meth:`predict`."""
        steps, rasters = self.config.timesteps, {}

        def fire(name: str, neuron: Leaky, current: Tensor) -> Tensor:
            rasters[name] = neuron.sequence(current.unflatten(0, (steps, -1)))
            return rasters[name].flatten(0, 1)

        current = self.coding_norm(self.coding(images))
        rasters["coding_n"] = self.coding_n.sequence(current.expand(steps, *current.shape))
        currents = [c.repeat(steps, 1)[:, :, None, None] for c in self.time_currents(times)]
        stream = self.body(rasters["coding_n"].flatten(0, 1), currents, fire)
        return stream.unflatten(0, (steps, -1)), rasters

    def tell(self, streams: Tensor) -> Tensor:
        """What is told (N, C, H, W) by the streams ahead of the tail, (T, N, channels, H, W)."""
        weights = leaky_weights(len(streams), READOUT_BETA).to(streams)
        if isinstance(self.tail, nn.Conv2d):
            # The tail is linear, so the leaky sum over time may be taken before it: one evaluation instead of T.
            told: Tensor = self.tail(torch.einsum("t,t...->...", weights, streams))
            assert self.tail.bias is not None
            return told + (weights.sum() - 1) * self.tail.bias[:, None, None]
        by_step = self.tail(streams.flatten(0, 1)).unflatten(0, streams.shape[:2])
        return torch.einsum("t,t...->...", weights, by_step)

    def pack(self, images: Tensor, times: Tensor) -> Tensor:
        """What one time step takes, (N, values): images (N, C, H, W), behind them all currents of the time.

        Both stay the same for all time steps; the currents depend on the index alone, so a host can keep them in a
        table (:meth:`time_table`).
        """
        return torch.cat([images.flatten(1), *self.time_currents(times)], 1)

    def time_table(self) -> Tensor:
        """Currents of the time at every index of the diffusion, shape (steps, channels of all residual blocks)."""
        times = torch.arange(self.config.diffusion_steps, device=self.kept.device)
        return torch.cat(self.time_currents(times), 1)

    def step(self, sample: Tensor) -> Tensor:
        """One time step: what :meth:`pack` made, (N, values), to what is read out so far (N, C, H, W).

        After the last step, what :meth:`predict` tells.
        """
        told: Tensor = self.readout(self.tail(self._stream(sample)))[1]
        return told

    def stream_step(self, sample: Tensor) -> Tensor:
        """One time step of the published build without its tail: the stream of this step (N, channels, H, W).

        The streams of all steps are what :meth:`tell` takes.
        """
        _, stream = self.tap(self._stream(sample))
        values: Tensor = stream
        return values

    def _stream(self, sample: Tensor) -> Tensor:
        """Stream ahead of the tail, from what :meth:`pack` made."""
        shape = (self.config.in_channels, *self.config.image)
        end = shape[0] * shape[1] * shape[2]
        images, currents = sample[:, :end].unflatten(1, shape), []
        for stage in self.plan.timed:
            channels = sample[:, end : end + stage.out]
            pixels = stage.side[0] * stage.side[1]
            currents.append(
                torch.repeat_interleave(channels, pixels, 1).unflatten(1, (stage.out, *stage.side))
            )
            end += stage.out
        spikes = self.coding_n(self.coding_norm(self.coding(images)))

        def hand_on(name: str, stream: Tensor) -> Tensor:
            return self.relays[name](stream)[1] if name in self.relays else stream

        return self.body(spikes, currents, lambda name, neuron, current: neuron(current), hand_on)
