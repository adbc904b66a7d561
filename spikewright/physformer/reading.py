"""The pulse of a video through a deployed network: wave, heart rate over time, and whether to trust it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..benchmarks.pulse.heart_rate import Quality, Reading, heart_rate, heart_rates, quality
from ..benchmarks.pulse.waves import pulse_of
from ..benchmarks.report.figure_style import CHIP, INK, MUTED, WIDTH, new_figure, quiet_axes, set_title
from ..errors import BuildError
from ..export.whole_file import whole_file
from ..hardware import host, reference
from ..hardware.emulator import Emulator
from ..hardware.lava import driver
from ..hardware.recording import Recording
from ..models.pulse_data.clips import clips, resample
from ..models.pulse_data.recording import Recording as Video
from ..models.pulse_network import FPS
from ..workspace import write_text
from .system import System

BACKENDS = ("emulator", "lava", "reference", "float")
WINDOW = 10.0  # seconds that a heart rate over time is read from
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Pulse:
    """What was read from a video.

    Attributes
    ----------
    wave : ndarray
        Pulse at 30 values a second, in no particular unit.
    heart_rate : float
        Of the whole video in beats a minute, read from the changes that the wave is the sum of; nan where it is flat.
    quality : Quality
        Of the whole video: whether to trust the heart rate.
    readings : list of Reading
        Of windows of ten seconds, one a second; none of a shorter video.
    """

    wave: NDArray[np.float64]
    heart_rate: float
    quality: Quality
    readings: list[Reading]


def read_pulse(
    system: System, video: Video, frames: int, backend: str = "emulator", time_limit: float = 600.0
) -> Pulse:
    """Read the pulse of a face, cropped to the network's image.

    Parameters
    ----------
    frames : int
        Of a clip.
    backend : str
        One of :data:`BACKENDS`; the same integers on all but ``float``.
    time_limit : float
        Seconds that Lava may take.

    Raises
    ------
    DataError, BuildError
        A video shorter than a clip or with a gap; a backend that does not exist.
    """
    parts, _ = clips(resample(video, FPS), frames)
    run = _backend(system, backend, time_limit)
    with torch.no_grad():
        waves = [_waves(system, part, run) for part in torch.from_numpy(parts).split(_BATCH)]
    changes = np.concatenate(waves)
    long_enough = len(changes) >= WINDOW * FPS
    return pulse(changes, heart_rates(changes, FPS, WINDOW) if long_enough else [])


def pulse(changes: NDArray[np.float64], readings: list[Reading]) -> Pulse:
    """What the changes of a wave from frame to frame say as a whole."""
    return Pulse(pulse_of(changes, FPS), heart_rate(changes, FPS), quality(changes, FPS), readings)


def _waves(
    system: System, part: torch.Tensor, run: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None
) -> NDArray[np.float64]:
    """Differences of the pulse, the clips behind each other."""
    network = system.network
    embedding = network.embedding(part)
    if run is None:
        waves = network.predictor(network.see(embedding)[0])
    else:
        waves = network.tell(torch.from_numpy(run(embedding.numpy())).reshape(embedding.shape), embedding)
    found: NDArray[np.float64] = waves.double().numpy().ravel()
    return found


def _backend(
    system: System, name: str, time_limit: float
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
    """What the program reads out for embeddings; None for the float network, which needs no program."""
    program = system.blocks.program
    emulator = Emulator(program) if name == "emulator" else None

    def run(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs, _ = host.encode(program, embedding)
        recording: Recording
        if emulator is not None:
            recording = emulator.run(inputs, "counts")
        elif name == "reference":
            recording = reference.run(program, inputs)
        else:
            recording = driver.run(program, inputs, detail="spikes", time_limit=time_limit)
        return host.decode(program, recording)

    if name not in BACKENDS:
        raise BuildError(f"backend is {name!r}; choose one of {', '.join(BACKENDS)}")
    return None if name == "float" else run


def write_pulse(pulse: Pulse, name: str, backend: str, folder: Path) -> dict[str, Path]:
    """Write ``pulse.json``, ``pulse.csv`` (seconds, wave) and ``pulse.png``."""
    paths = {kind: folder / f"pulse.{kind}" for kind in ("json", "csv", "png")}
    write_text(paths["json"], json.dumps(summary(pulse, name, backend), indent=2) + "\n")
    rows = "".join(f"{k / FPS:.4f},{value:.6g}\n" for k, value in enumerate(pulse.wave))
    write_text(paths["csv"], "seconds,wave\n" + rows)
    with whole_file(paths["png"]) as temporary:
        _figure(pulse, name).savefig(temporary, format="png", dpi=100)
    return paths


def summary(pulse: Pulse, name: str, backend: str) -> dict[str, Any]:
    """What is said of a video, as a table; a heart rate that is none is null."""
    return {
        "video": name,
        "backend": backend,
        "seconds": len(pulse.wave) / FPS,
        "heart_rate_bpm": _number(pulse.heart_rate),
        "trusted": bool(pulse.quality.trusted),
        "quality": pulse.quality.index,
        "over_time": [
            {
                "seconds": reading.seconds,
                "heart_rate_bpm": _number(reading.heart_rate),
                "trusted": bool(reading.quality.trusted),
                "quality": reading.quality.index,
            }
            for reading in pulse.readings
        ],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _figure(pulse: Pulse, name: str) -> Any:
    """The wave, and heart rates over time: filled where they are trusted."""
    figure = new_figure(WIDTH, 4.2, constrained=True)
    trusted = "trusted" if pulse.quality.trusted else "not to be trusted"
    rate = "no heart rate" if np.isnan(pulse.heart_rate) else f"{pulse.heart_rate:.1f} beats a minute"
    set_title(figure, f"{name}: {rate}, {trusted}")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(np.arange(len(pulse.wave)) / FPS, pulse.wave, color=CHIP, linewidth=1.0)
    above.set_ylabel("pulse wave")
    above.set_yticks([])
    for shown, face in ((True, CHIP), (False, "none")):
        some = [r for r in pulse.readings if bool(r.quality.trusted) == shown and np.isfinite(r.heart_rate)]
        label = "trusted" if shown else "not trusted"
        below.scatter(
            [r.seconds for r in some], [r.heart_rate for r in some], s=18, edgecolors=CHIP, facecolors=face, label=label
        )  # fmt: skip
    below.set_ylim(40, 155)
    below.set_ylabel("beats a minute")
    below.set_xlabel("seconds")
    if pulse.readings:
        below.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    else:
        below.text(0.5, 0.5, "shorter than the ten seconds of a window", ha="center", transform=below.transAxes, color=MUTED)  # fmt: skip
    for axes in (above, below):
        quiet_axes(axes, "left", "bottom")
        axes.yaxis.label.set_color(INK)
    return figure
