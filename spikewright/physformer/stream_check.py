"""Whether streamed token frames fire the spikes of the clips that they come from, and what a token frame costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.report.pulse_stream import PulseStream
from ..errors import BuildError
from ..generating.tally import Tally
from ..hardware import host, lava, reference
from ..hardware.chip import Chip
from ..hardware.emulator import Emulator
from ..hardware.fit import fit
from ..hardware.placement import place
from ..hardware.program import Inputs, Program, ProgramError
from ..hardware.recording import Recording
from ..hardware.relays import balance_cost
from ..hardware.streaming import latency
from ..models.physformer_layout import PATCH_FRAMES
from .streaming import frames_behind, stream_blocks
from .system import System


@dataclass(frozen=True)
class Same:
    """Spikes of whole clips against those of the same clips streamed, each between silence."""

    backend: str
    clips: int
    neuron_steps: int
    differing: int


def token_frames(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Token frames (tokens, width, 1, height, width) of a clip's embedding (width, tokens, height, width)."""
    return np.ascontiguousarray(np.moveaxis(embedding, 1, 0)[:, :, None])


def compare_rasters(clip: Program, whole: Recording, sample: int, streamed: Recording) -> tuple[int, int]:
    """Neuron steps of a clip, and how many spikes of them differ from those of its token frames."""
    steps = differing = 0
    for p in clip.populations:
        if p.relay:
            continue
        # (time steps, channels, frames, ...) to (frames, time steps, channels, ...)
        wanted = np.moveaxis(whole.spikes[p.name][sample].reshape(clip.timesteps, *p.shape), 2, 0)
        found = streamed.spikes[p.name].reshape(wanted.shape)
        steps, differing = steps + wanted.size, differing + int((wanted != found).sum())
    return steps, differing


def same_spikes(
    system: System, program: Program, shown: NDArray[np.float32], backend: str, time_limit: float = 600.0
) -> Same:
    """Stream clips' embeddings (N, width, tokens, height, width) on a backend and compare with the emulated clip program."""
    clip = system.blocks.program
    whole = Emulator(clip).run(host.encode(clip, shown)[0], "spikes")
    steps = differing = 0
    for sample, embedding in enumerate(shown):
        inputs, _ = host.encode(program, token_frames(embedding))
        found = _run(program, inputs, backend, time_limit)
        more = compare_rasters(clip, whole, sample, found)
        steps, differing = steps + more[0], differing + more[1]
    return Same(backend, len(shown), steps, differing)


def _run(program: Program, inputs: Inputs, backend: str, time_limit: float) -> Recording:
    if backend == "emulator":
        return Emulator(program).run(inputs, "spikes")
    if backend == "reference":
        return reference.run(program, inputs)
    return lava.run(program, inputs, time_limit=time_limit)


def activity(program: Program, embedding: NDArray[np.float32]) -> tuple[float, float]:
    """Synaptic operations of a token frame within the windows, and spikes outside of them over those inside.

    Parameters
    ----------
    program : Program
        Streamed.
    embedding : ndarray of float32
        Of a clip, as for :func:`token_frames`; its frames are run one behind the other.
    """
    frames = token_frames(embedding)
    inputs, _ = host.encode(program, frames)
    found = reference.run(program, inputs)
    inside = sum(int(counts.sum()) for counts in found.counts.values())
    outside = sum((found.overhead_spikes or {}).values())
    return float(Tally(program).add(inputs, found)["sops"].sum()) / len(frames), outside / max(inside, 1)


def stream_part(system: System, shown: NDArray[np.float32], chip: Chip) -> tuple[PulseStream | None, str]:
    """What a report says of the blocks on a stream, or why they do not stream.

    Parameters
    ----------
    shown : ndarray of float32
        Embeddings of clips, as for :func:`same_spikes`; the first is counted.
    """
    try:
        program = stream_blocks(system)
    except (BuildError, ProgramError) as error:
        return None, str(error)
    behind, placement = latency(program), place(program, chip)
    fitted = fit(program, chip, placement)
    same, (sops, outside) = same_spikes(system, program, shown, "emulator"), activity(program, shown[0])
    part = PulseStream(
        period=program.period,
        token_frames=PATCH_FRAMES,
        neurons=fitted.neurons,
        synapses=fitted.synapses,
        chip=chip.title,
        obstacles=[f"{f.node}: {f.detail}; {f.remedy}" for f in fitted.findings if f.severity == "error"],
        cores=fitted.cores_placed,
        longest_delay=balance_cost(program).longest_delay,
        latency_steps=behind.steps,
        latency_tokens=behind.frames,
        behind_frames=list(frames_behind(behind)),
        sops_per_token=sops,
        outside=outside,
        clips=same.clips,
        neuron_steps=same.neuron_steps,
        differing=same.differing,
    )
    return part, ""
