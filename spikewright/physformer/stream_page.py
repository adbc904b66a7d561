"""The streamed Spiking-PhysFormer beside the one of clips: ``python -m spikewright.physformer.stream_page build/NAME``.

Compares spikes on test clips, counts, places, and reads heart rates of whole videos both ways. Writes
``docs/pulse_streaming.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..benchmarks.pulse.scores import score
from ..benchmarks.report.units import count
from ..errors import USER_ERRORS
from ..generating.tally import Tally
from ..hardware import host, lava
from ..hardware.chip import load_chip
from ..hardware.emulator import Emulator
from ..hardware.fit import fit
from ..hardware.placement import place
from ..hardware.program import Program
from ..hardware.relays import balance_cost
from ..hardware.streaming import latency
from ..models.pulse_data.clips import running_normalised
from ..models.pulse_data.synthetic import generate
from ..models.pulse_network import FPS
from ..progress import Steps
from ..workspace import Workspace, write_text
from .data import FIRST_TEST_SUBJECT, video_of
from .lowering import embeddings
from .stream_check import Same, activity, same_spikes
from .streaming import TokenStream, frames_behind, stream_blocks
from .system import System, clips, load_system, recipe_of

CHIPS = ("loihi1", "loihi2")


def sizes(program: Program, sops: float) -> list[str]:
    """Cells of a row: what a program takes of a chip, and what it does a token."""
    cost, first = balance_cost(program), fit(program, load_chip(CHIPS[0]))
    cells = [count(first.neurons), count(first.synapses)]
    for name in CHIPS:
        placement = place(program, load_chip(name))
        cells.append(f"{count(len(placement.cores))} ({placement.chips})")
    return [*cells, count(cost.longest_delay), count(round(sops))]


def rates(system: System, program: Program, workspace: Workspace, most: int) -> list[str]:
    """Rows of heart rates: clips with the deviation of the whole video, and the stream with a running one."""
    data, seed = recipe_of(workspace).data, workspace.recipe.train_seed
    emulator, rows = Emulator(system.blocks.program), []
    waves: dict[str, list[NDArray[np.float64]]] = {
        name: [] for name in ("clips", "whole", "running", "label")
    }
    for subject in range(FIRST_TEST_SUBJECT, FIRST_TEST_SUBJECT + most):
        recording = generate(subject, data.level, data.video_frames, data.image, seed)
        video = video_of(recording, data)
        used = video.clips.shape[0] * data.frames
        with torch.no_grad():
            embedding = system.network.embedding(torch.from_numpy(video.clips))
            totals = emulator.run(host.encode(system.blocks.program, embedding.numpy())[0], "counts")
            said = torch.from_numpy(host.decode(system.blocks.program, totals)).reshape(embedding.shape)
            waves["clips"].append(system.network.tell(said, embedding).double().numpy().ravel())
        changes = video.clips.transpose(0, 2, 3, 4, 1).reshape(used, *data.image, 3)
        running = running_normalised(recording.frames)[:used]
        for name, shown in (("whole", changes), ("running", running)):
            stream = TokenStream(system.network, program)
            waves[name].append(np.concatenate([stream.push(shown), stream.finish()]))
        waves["label"].append(video.labels.astype(np.float64).ravel())
    for name, title in (
        ("clips", "clips, deviation of the whole video"),
        ("whole", "stream, deviation of the whole video"),
        ("running", "stream, running deviation of 160 frames"),
    ):
        found = score(waves[name], waves["label"], FPS, differences=True)
        rows.append(f"| {title} | {found.mae:.2f} bpm | {found.wave_correlation:.3f} |")
    return rows


def page(
    workspace: Workspace, system: System, periods: Sequence[int], videos: int, command: str, steps: Steps
) -> str:
    """Measure, and write all of it down."""
    clip, config = system.blocks.program, system.network.config
    tokens = config.grid[0]
    shown = embeddings(system.network, clips(workspace, "test", 2))
    with steps("Clips: operations and cores"):
        inputs, _ = host.encode(clip, shown)
        sops = Tally(clip).add(inputs, Emulator(clip).run(inputs, "counts"))["sops"].mean()
        rows = [
            [
                "clips of " + count(tokens) + " tokens",
                *sizes(clip, sops / tokens),
                f"{clip.depth + clip.timesteps} + clip",
                "",
                "",
            ]
        ]
    same: list[tuple[int, Same]] = []
    for period in periods:
        with steps(f"A token frame every {period} steps"):
            program = stream_blocks(system, period)
            same += [
                (period, same_spikes(system, program, shown, name)) for name in ("emulator", "reference")
            ]
            if period == periods[0] and lava.available()[0]:
                same.append((period, same_spikes(system, program, shown[:1], "lava", 900.0)))
            sops, outside = activity(program, shown[0])
            behind = latency(program)
            frames = frames_behind(behind)
            rows.append(
                [
                    f"stream, period {period}", *sizes(program, sops), f"{behind.steps}; {behind.frames}",
                    f"{frames[0]} to {frames[1]} ({frames[1] / FPS:.2f} s)", f"{100 * outside:.0f} %",
                ]
            )  # fmt: skip
    with steps(f"Heart rates of {videos} videos"):
        judged = rates(system, stream_blocks(system, periods[0]), workspace, videos)
    head = (
        "program", "neurons", "synapses", "cores of Loihi 1 (chips)", "cores of Loihi 2 (chips)", "longest delay",
        "SOPs a token, inside windows", "latency: steps; tokens", "wave behind the camera, frames", "spikes outside windows",
    )  # fmt: skip
    lines = [
        "# Spiking-PhysFormer on a stream",
        "",
        "Written by",
        "",
        f"    {command}",
        "",
        f"{workspace.recipe.name}: {config.blocks} blocks, width {config.width}, {config.grid[1]} x {config.grid[2]} tokens a frame, "
        f"{config.timesteps} time steps a token frame.",
        "",
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "A token frame takes four frames of the camera. The chip takes one period for each and waits for the next. The taps in",
        f"time of convolutions (3 of a query, {config.mlp_frames} of an MLP) wait 0, 1, 2 and more periods; each block therefore is",
        f"{'a token' if config.reach == 1 else f'{config.reach} tokens'} behind, and all its other paths wait as long. Longer periods put fewer tokens behind each other in",
        "the pipeline, and populations fire outside of their windows, where nothing listens.",
        "",
        "| the same spikes as the clip program? | period | clips | neuron steps | differing |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {s.backend} | {period} | {s.clips} | {count(s.neuron_steps)} | {count(s.differing)} |"
            for period, s in same
        ),
        "",
        "A clip streamed between silence fires the spikes of the clip program, token by token. In a stream that goes on, tokens",
        f"within {config.blocks * config.reach} of a clip's border hear the tokens beyond it, where clips hear zeros.",
        "",
        f"| {count(videos)} videos of {recipe_of(workspace).data.video_frames / FPS:.0f} s | MAE of the heart rate | correlation of waves |",
        "| --- | ---: | ---: |",
        *judged,
    ]
    return "\n".join(lines) + "\n"


def main(given: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.physformer.stream_page",
        description="The streamed Spiking-PhysFormer beside the one of clips.",
    )
    parser.add_argument("build", type=Path, help="build folder of a deployed spiking-physformer")
    parser.add_argument(
        "--periods", type=int, nargs="+", help="chip steps a token frame; T, 2 T and 4 T by default"
    )
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("docs/pulse_streaming.md"))
    options = parser.parse_args(given)
    try:
        workspace, system = Workspace.open(options.build), load_system(options.build)
        steps = system.network.config.timesteps
        periods = options.periods or [steps, 2 * steps, 4 * steps]
        command = (
            f"{parser.prog} {options.build} --periods {' '.join(map(str, periods))} --videos {options.videos}"
        )
        text = page(workspace, system, periods, options.videos, command, Steps())
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_text(options.out, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
