"""From a program of whole clips to one of single frames, which a stream goes through without end.

A clip program that does the same at every frame, as convolutions over time do, has a copy of each neuron for each frame.
Here one copy is left: frames follow each other in time, one every ``period`` steps, and what joined a frame to its
neighbours becomes delays. A synapse that takes spikes of s frames before waits s periods longer than one within a frame;
one that takes spikes of a later frame has its target start so much later. All other paths into the target wait as long,
as in any program (:mod:`spikewright.hardware.schedule`), and resets fall between frames as they do between samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..export.linear import Conv2d, Conv3d, LinearMap, Shape, Sparse, expand_channels
from ..export.unroll import unroll
from .compile import in_order
from .host import encoder_map
from .program import Population, Program, ProgramError, SpikeSource, SynapseGroup, validate
from .program_io import map_arrays, map_header
from .relays import DelayCosts, lay_out
from .schedule import Link, start_steps
from .stillness import require_stillness

#: Axis of populations that counts frames: they are (channels, frames, ...).
AXIS = 1


@dataclass(frozen=True)
class Latency:
    """How far what a streamed program says of a frame is behind that frame.

    Attributes
    ----------
    steps : int
        From the first step of a frame to the last step of its result.
    frames : int
        Frames that the chip takes in meanwhile, the frame itself not counted.
    before, after : int
        Frames ahead of it and behind it that the result depends on.
    """

    steps: int
    frames: int
    before: int
    after: int


def latency(program: Program) -> Latency:
    """Latency of the last population of a streamed program."""
    reach: dict[str, tuple[int, int]] = {}

    def look(name: str) -> tuple[int, int]:
        if name not in reach:
            reach[name] = (0, 0)
            found = [(look(g.source), program.shift(g)) for g in program.inputs_of(name)]
            reach[name] = (
                max((before + shift for (before, _), shift in found), default=0),
                max((after - shift for (_, after), shift in found), default=0),
            )
        return reach[name]

    last = program.populations[-1]
    # What the host writes to a population belongs to the frame itself.
    before, after = (max(0, side) for side in look(last.name))
    steps = last.start + program.timesteps
    return Latency(steps, -(-steps // program.period) - 1, before, after)


def stream_program(
    program: Program, *, period: int | None = None, costs: DelayCosts | None = None
) -> Program:
    """The program of one frame, from that of a clip: the same integers, fewer neurons, other delays.

    Run on the frames of a clip it fires the same spikes as the clip's program does, frame by frame: ahead of the first
    frame and behind the last one nothing fires, which is what a clip's borders are padded with.

    Parameters
    ----------
    program : Program
        Its populations are (channels, frames, ...), equal at all frames.
    period : int, optional
        Steps from one frame to the next; the time steps of a sample by default. Longer periods leave fewer frames behind
        each other in the pipeline, and populations idle in between.
    costs : DelayCosts, optional
        What the chip asks for delays.

    Raises
    ------
    ProgramError
        A population or synapse group does not do the same at every frame, or the host cannot hold the network silent
        outside of a stream; names it.
    """
    if program.streamed:
        raise ProgramError(f"{program.name}: is a streamed program already")
    period = program.timesteps if period is None else period
    own = [p for p in program.populations if not p.relay]
    frames = _frames(program, own)
    sources = tuple(replace(s, shape=_one(s.shape)) for s in program.sources)
    populations = [_population(p, frames) for p in own]
    shapes = {s.name: s.shape for s in program.sources} | {p.name: p.shape for p in own}
    groups = [
        tap
        for g in program.synapses
        if g.target in shapes
        for tap in _taps(replace(g, source=_sender(program, g.source)), shapes, frames, period)
    ]
    links = [Link(g.name, g.source, g.target, g.lag) for g in groups]
    starts = start_steps(program.name, [s.name for s in sources], [p.name for p in populations], links)
    populations = [replace(p, start=starts[p.name]) for p in populations]
    waiting = [replace(g, delay=starts[g.target] + g.lag - starts[g.source] - 1) for g in groups]
    relays, laid = lay_out(waiting, sources, populations, costs or DelayCosts())
    host, arrays = _host(program, shapes, frames)
    found = Program(
        program.name, program.timesteps, period, sources, in_order(populations, relays), tuple(laid), host, arrays,
        streamed=True,
    )  # fmt: skip
    validate(found)
    require_stillness(found)
    return found


def _frames(program: Program, own: list[Population]) -> int:
    """Frames of the clip."""
    everything: list[Population | SpikeSource] = [*program.sources, *own]
    if any(p.graded for p in own):
        raise ProgramError(
            f"{program.name}: has graded relays, which no bias holds silent; unroll the residual stream"
        )
    if program.isolated:
        raise ProgramError(f"{program.name}: has loops, which a stream of frames would close elsewhere")
    for one in everything:
        if len(one.shape) <= AXIS:
            raise ProgramError(
                f"{one.name}: shape {one.shape} has no axis of frames; a stream wants (channels, frames, ...)"
            )
    counts = {one.name: one.shape[AXIS] for one in everything}
    frames = max(counts.values())
    for name, count in counts.items():
        if count != frames:
            raise ProgramError(
                f"{name}: has {count} frames where the clip has {frames}: what looks at all of a clip at once cannot "
                "stream; take the deployment variant, whose masks count over single frames"
            )
    return frames


def _one(shape: Shape) -> Shape:
    return (*shape[:AXIS], 1, *shape[AXIS + 1 :])


def _sender(program: Program, name: str) -> str:
    """The population whose spikes a relay hands on."""
    while any(p.name == name and p.relay for p in program.populations):
        (group,) = program.inputs_of(name)
        name = group.source
    return name


def _population(p: Population, frames: int) -> Population:
    def frame(label: str) -> NDArray[Any]:
        by_frame = np.moveaxis(getattr(p, label).reshape(p.shape), AXIS, 0)
        if (by_frame != by_frame[:1]).any():
            raise ProgramError(
                f"population {p.name}: {label} differs between frames, so one copy of it cannot stand for all"
            )
        return np.ascontiguousarray(by_frame[0]).ravel()

    labels = ("current_decay", "membrane_decay", "threshold", "bias_mantissa", "bias_exponent", "scale")
    registers: dict[str, Any] = {label: frame(label) for label in labels}
    return replace(p, shape=_one(p.shape), start=0, **registers)


def _taps(group: SynapseGroup, shapes: dict[str, Shape], frames: int, period: int) -> list[SynapseGroup]:
    """A group for each distance in frames: what a frame takes of itself, of those before it and of those after it."""
    source, target = shapes[group.source], shapes[group.target]
    found = []
    for distance, matrix in _by_distance(group.name, group.map, source, target, frames).items():
        label = group.name
        if distance:
            label += f"_{abs(distance)}_{'after' if distance > 0 else 'before'}"
        map_ = _regular(group.map, matrix, _one(source), _one(target), frames, distance)
        found.append(replace(group, name=label, map=map_, lag=-distance * period, delay=0))
    return found


def _by_distance(name: str, map_: LinearMap, source: Shape, target: Shape, frames: int) -> dict[int, Any]:
    """Matrices (outputs, inputs) of one frame by the distance of the frame that they see.

    Raises
    ------
    ProgramError
        Frames do not all see the same.
    """
    matrix = unroll(map_).tocoo()
    (frame_of, place_of), (frame_seen, place_seen) = _places(target), _places(source)
    one = prod(_one(target)), prod(_one(source))
    at, distances = frame_of[matrix.row], frame_seen[matrix.col] - frame_of[matrix.row]
    found = {}
    for distance in (np.flatnonzero(np.bincount(distances + frames)) - frames).tolist():
        here = np.flatnonzero(distances == distance)
        # Sorted by frame, then by place: as many equal parts as there are frames with such a neighbour.
        rows, columns = place_of[matrix.row[here]], place_seen[matrix.col[here]]
        ordered = np.argsort((at[here] * one[0] + rows) * one[1] + columns, kind="stable")
        rows, columns, values, frame = (a[ordered] for a in (rows, columns, matrix.data[here], at[here]))
        count = frames - abs(distance)
        parts = [a.reshape(count, -1) for a in (rows, columns, values)] if len(rows) % count == 0 else []
        even = parts and (frame.reshape(count, -1) == max(0, -distance) + np.arange(count)[:, None]).all()
        if not even or any((a != a[:1]).any() for a in parts):
            raise ProgramError(
                f"synapse group {name}: differs between frames, so one copy of it cannot stand for all"
            )
        rows, columns, values = (a[0] for a in parts)
        found[distance] = sparse.csr_matrix((values, (rows, columns)), shape=one)
    return found


def _places(shape: Shape) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frame of each neuron of a population, and which neuron of that frame it is."""
    frame = np.broadcast_to(np.arange(shape[AXIS]).reshape(-1, *[1] * (len(shape) - AXIS - 1)), shape)
    place = np.broadcast_to(np.arange(prod(_one(shape))).reshape(_one(shape)), shape)
    return frame.ravel(), place.ravel()


def _regular(
    map_: LinearMap, matrix: Any, source: Shape, target: Shape, frames: int, distance: int
) -> LinearMap:
    """A convolution where the clip's map is one whose kernel a chip may share, else the matrix."""
    found: LinearMap | None = None
    if isinstance(map_, Conv3d) and map_.stride[0] == map_.dilation[0] == 1:
        tap = distance + map_.padding[0]
        if 0 <= tap < map_.weight.shape[2]:
            weight = np.ascontiguousarray(map_.weight[:, :, tap])
            sides = (map_.input_shape[0], *map_.input_shape[2:])
            found = Conv2d(weight, sides, map_.stride[1:], map_.padding[1:], map_.dilation[1:], map_.groups)
    elif isinstance(map_, Conv2d) and map_.weight.shape[2:] == (1, 1) and map_.stride == (1, 1):
        sides = (map_.input_shape[0], 1, prod(map_.input_shape[1:]) // frames)
        found = Conv2d(map_.weight, sides, groups=map_.groups)
    if (
        found is not None
        and prod(found.input_shape) == prod(source)
        and prod(found.output_shape) == prod(target)
    ) and (unroll(found) != matrix).nnz == 0:
        return found
    return Sparse.of(matrix, source, target)


def _host(program: Program, shapes: dict[str, Shape], frames: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encoders of a frame."""
    encoders: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for encoder in program.host.get("encoders", []):
        name, target = encoder["name"], shapes[encoder["population"]]
        map_, sample = encoder_map(program, encoder), tuple(encoder["sample"])
        if len(sample) <= AXIS or sample[AXIS] != frames:
            raise ProgramError(
                f"{name}: takes samples of shape {sample}; a stream wants (channels, {frames} frames, ...)"
            )
        matrices = _by_distance(name, map_, sample, target, frames)
        if set(matrices) != {0}:
            raise ProgramError(
                f"{name}: the host's currents of a frame depend on other frames, which it does not hold"
            )
        one = _regular(map_, matrices[0], _one(sample), _one(target), frames, 0)
        bias = expand_channels(program.host_arrays[f"{name}.bias"], target)
        by_frame = np.moveaxis(bias.reshape(target), AXIS, 0)
        if (by_frame != by_frame[:1]).any():
            raise ProgramError(f"{name}: the host's currents differ between frames")
        encoders.append({**encoder, "sample": _one(sample), "map": map_header(one)})
        arrays |= {f"{name}.{key}": array for key, array in map_arrays(one).items()}
        arrays[f"{name}.bias"] = np.ascontiguousarray(by_frame[0]).ravel()
    if program.host.get("steps"):
        raise ProgramError(f"{program.name}: the host's steps between populations do not stream")
    return {**program.host, "encoders": encoders}, arrays
