"""Heart rates and waves of every version of a network, and of the classical methods, on the same videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..benchmarks.pulse.baselines import chrom, green, pos
from ..benchmarks.pulse.scores import Judgements, ReadFrom, Scores, score
from ..benchmarks.pulse.scores import judge as judge_waves
from ..generating.tally import Tally
from ..hardware import host
from ..hardware.emulator import Emulator
from ..models.physformer_ann import PhysFormer
from ..models.pulse_network import FPS
from .ablation import ABLATIONS, ablated
from .data import Video
from .system import System

Waves = NDArray[np.float64]
CLASSICAL = {"GREEN": green, "CHROM": chrom, "POS": pos}


@dataclass(eq=False)
class Judged:
    """What was predicted for videos, and what the program did for it.

    Attributes
    ----------
    waves : dict of str to list of ndarray
        Differences of the pulse by ``reference``, version, classical method and ablation, one array a video.
    tally : Tally
        Spikes of the program over all clips.
    clipped : int
        Input currents beyond the largest bias, which were clipped to it.
    seconds : float
        Time that the emulator took.
    """

    tally: Tally
    waves: dict[str, list[Waves]] = field(default_factory=lambda: defaultdict(list))
    clipped: int = 0
    seconds: float = 0.0

    def scores(self, name: str, frames: int, most: int | None = None) -> tuple[Scores, Scores]:
        """Scores by video and by clip of so many frames, of all videos or so many of the first."""
        own = self.waves[name][:most]
        reference = self.waves["reference"][: len(own)]
        video = score(own, reference, FPS, differences=True)
        return video, score(own, reference, FPS, "clip", frames, differences=True)

    def read(self, name: str) -> Scores:
        """Scores by video with heart rates as ``spikewright pulse`` reads them: from the changes themselves."""
        return score(
            self.waves[name], self.waves["reference"], FPS, differences=True, read_from="differences"
        )

    def by_video(self, name: str, read_from: ReadFrom = "wave") -> Judgements:
        """Heart rates and likeness of waves, a video each."""
        return judge_waves(
            self.waves[name], self.waves["reference"], FPS, differences=True, read_from=read_from
        )


def judge(
    system: System,
    twin: PhysFormer,
    videos: Iterable[Video],
    ablation_videos: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Judged:
    """Run videos through everything that is compared.

    Parameters
    ----------
    ablation_videos : int
        So many of the first videos also go through the ablated networks.
    progress : callable
        Called with the number of videos done.
    """
    network, emulator = system.network, Emulator(system.blocks.program)
    judged = Judged(Tally(system.blocks.program))
    with torch.no_grad():
        for index, video in enumerate(videos):
            clips = torch.from_numpy(video.clips)
            embedding = network.embedding(clips)
            found = {"float": network.predictor(network.see(embedding)[0]), "ann": twin(clips)}
            found["int8"] = on_chip(system, emulator, embedding, judged)
            if index < ablation_videos:
                found |= {name: ablated(network, embedding, name) for name in ABLATIONS}
            judged.waves["reference"].append(video.labels.astype(np.float64).ravel())
            for name, waves in found.items():
                judged.waves[name].append(waves.double().numpy().ravel())
            for name, method in CLASSICAL.items():
                pulse = method(video.traces, FPS)
                judged.waves[name].append(np.diff(pulse, append=pulse[-1]))
            progress(index + 1)
    return judged


def on_chip(system: System, emulator: Emulator, embedding: Tensor, judged: Judged) -> Tensor:
    """Waves (N, frames) with the integer program between the host's embedding and its predictor."""
    inputs, clipped = host.encode(system.blocks.program, embedding.numpy())
    recording = emulator.run(inputs, "counts")
    judged.tally.add(inputs, recording)
    judged.clipped += clipped
    judged.seconds += recording.seconds
    totals = torch.from_numpy(host.decode(system.blocks.program, recording))
    return system.network.tell(totals.reshape(embedding.shape), embedding)
