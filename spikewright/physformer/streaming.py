"""The pulse of a camera that is still running: token frames are chip time, and clips are never sent.

The chip has neurons for one token frame only (:func:`spikewright.hardware.streaming.stream_program`). A token frame covers
four differences of frames; the host embeds it, writes it as biases, and takes the spikes of an earlier one from the chip.
The predictor is a convolution over tokens and looks one of them ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import BuildError
from ..hardware import host
from ..hardware.program import Program
from ..hardware.recording import Recording
from ..hardware.session import open_stream
from ..hardware.streaming import Latency, stream_program
from ..models.physformer import SpikingPhysFormer
from ..models.physformer_layout import PATCH_FRAMES
from ..models.pulse_data.clips import CausalNormaliser

if TYPE_CHECKING:
    from .system import System

#: Backends that a stream runs on.
STREAM_BACKENDS = ("emulator", "reference")
#: Tokens to either side of a token that its part of the wave depends on: two convolutions over three slices each, one at
#: half of a token and one at a quarter, reach less than one token.
HEAD_REACH = 1


def stream_blocks(system: System, period: int | None = None) -> Program:
    """The program of one token frame, of the same integers as the clip's.

    Parameters
    ----------
    period : int, optional
        Chip steps a token frame; the network's time steps by default.

    Raises
    ------
    BuildError
        Attention counts over all of a clip, as that of the published variant does.
    """
    _refuse_whole_clips(system.network)
    return stream_program(system.blocks.program, period=period)


class TokenStream:
    """Token frames in, values of the wave out; the host's two parts around the chip.

    Parameters
    ----------
    network : SpikingPhysFormer
        Its embedding and predictor.
    program : Program
        Of :func:`stream_blocks`.
    backend : str
        One of :data:`STREAM_BACKENDS`.
    """

    def __init__(self, network: SpikingPhysFormer, program: Program, backend: str = "emulator") -> None:
        _refuse_whole_clips(network)
        if backend not in STREAM_BACKENDS:
            raise BuildError(f"backend is {backend!r}; a stream runs on {' or '.join(STREAM_BACKENDS)}")
        self.network, self.program = network, program
        self.chip = open_stream(program, backend)
        self.clipped = 0
        self._seen = torch.zeros(1, *program.populations[-1].shape)[
            :, :, :0
        ]  # tokens that the predictor still needs
        self._first = 0  # the first of them
        self._told = 0  # values of the wave so far

    @property
    def latency(self) -> Latency:
        """Latency of the chip."""
        return self.chip.latency

    def push(self, changes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Take whole token frames.

        Parameters
        ----------
        changes : ndarray of float32
            Normalised differences of frames (4 n, H, W, 3).

        Returns
        -------
        ndarray of float64
            Values of the wave that are certain now, in order: differences of the pulse, one a frame.
        """
        if len(changes) % PATCH_FRAMES or not len(changes):
            raise BuildError(f"{len(changes)} differences of frames; a token takes {PATCH_FRAMES}")
        with torch.no_grad():
            frames = torch.from_numpy(np.ascontiguousarray(changes)).permute(3, 0, 1, 2)[None]
            embedding = self.network.embedding(frames)[0].transpose(0, 1)[:, :, None]
        inputs, clipped = host.encode(self.program, embedding.numpy())
        self.clipped += clipped
        return self._tell(self.chip.push(inputs), last=False)

    def finish(self) -> NDArray[np.float64]:
        """End the stream; returns the rest of the wave."""
        return self._tell(self.chip.finish(), last=True)

    def _tell(self, recording: Recording, last: bool) -> NDArray[np.float64]:
        (counts,) = recording.counts.values()
        shape = self.program.populations[-1].shape
        totals = (
            torch.from_numpy(counts.astype(np.float32)).reshape(-1, *shape)[:, :, 0].transpose(0, 1)[None]
        )
        self._seen = torch.cat([self._seen, totals / self.network.config.timesteps], 2)
        tokens = self._first + self._seen.shape[2]
        # The first of a token's values is certain with the token itself, the others with the next one.
        certain = PATCH_FRAMES * tokens if last else PATCH_FRAMES * (tokens - HEAD_REACH) + 1
        if certain <= self._told:
            return np.zeros(0)
        with torch.no_grad():
            wave = self.network.predictor(self._seen)[0].double().numpy()
        fresh: NDArray[np.float64] = wave[self._told - PATCH_FRAMES * self._first :][: certain - self._told]
        self._told = certain
        spare = max(0, self._told // PATCH_FRAMES - HEAD_REACH - self._first)
        self._seen, self._first = self._seen[:, :, spare:], self._first + spare
        return fresh


class PulseStream:
    """Frames of a face in, values of the wave out.

    Parameters
    ----------
    network, program, backend
        As of :class:`TokenStream`.
    memory : float, optional
        Of the normaliser, in frames; see :class:`~spikewright.models.pulse_data.clips.CausalNormaliser`.
    """

    def __init__(
        self,
        network: SpikingPhysFormer,
        program: Program,
        backend: str = "emulator",
        memory: float | None = 160,
    ) -> None:
        self.tokens = TokenStream(network, program, backend)
        self._normaliser = CausalNormaliser(memory)
        self._changes: list[NDArray[np.float32]] = []

    def push(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Take a frame (H, W, 3) of the network's image; returns what is new of the wave, mostly nothing or 4 values."""
        wanted = (*self.tokens.network.config.image, 3)
        if frame.shape != wanted:
            raise BuildError(f"a frame of shape {frame.shape}; the network takes {wanted}")
        change = self._normaliser.push(frame)
        if change is not None:
            self._changes.append(change)
        if len(self._changes) < PATCH_FRAMES:
            return np.zeros(0)
        token, self._changes = np.stack(self._changes), []
        return self.tokens.push(token)

    def finish(self) -> NDArray[np.float64]:
        """End the stream; returns the rest of the wave. Frames short of a token are left out."""
        return self.tokens.finish()


def frames_behind(latency: Latency) -> tuple[int, int]:
    """Least and most frames by which values of the wave are behind the newest frame when they come.

    A value is the change between two frames, and its age is counted from the later one. Token k, of the changes 4 k to
    4 k + 3, is there with frame 4 k + 4, and its spikes ``latency.frames`` tokens later. With them come value 4 k and the
    three before it.
    """
    waits = PATCH_FRAMES * latency.frames
    return waits + PATCH_FRAMES - 1, waits + 2 * PATCH_FRAMES - 2


def _refuse_whole_clips(network: SpikingPhysFormer) -> None:
    if network.config.counts_all:
        kind = "attention with values" if network.config.attention == "values" else "the published variant"
        raise BuildError(
            f"{kind} does not stream, as it counts over all of a clip; take variant = 'deployment' with attention = 'mask'"
        )
