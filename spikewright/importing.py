"""From anybody's NIR file to artefacts: float NIR, integer NIR, program, with every choice and what it costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import BuildError
from .export.calibration import Calibration
from .export.correct_biases import quantise_corrected
from .export.errors import ExportError
from .export.float_run import FloatRun, run_float
from .export.foreign.choices import Choices
from .export.foreign.convert import DEFAULT_STEPS, open_foreign
from .export.formats import Reset
from .export.graph import Graph, Input, Synapses
from .export.linear import fan_out
from .export.nir_build import METADATA
from .export.nir_read import read_graph
from .export.nir_write import write_nir
from .export.quantise import quantise
from .hardware import host
from .hardware.chip import load_chip
from .hardware.compile import compile_program
from .hardware.emulator import Emulator
from .hardware.fit import FitResult, fit
from .hardware.program import Program
from .hardware.program_io import load_program, save_program
from .lowering import FLOAT, INTEGER, PROGRAM

KEYS = ("spikes", "samples")


@dataclass(frozen=True)
class Agreement:
    """How far a population's integers agree with its floats.

    Attributes
    ----------
    neuron_steps, differing : int
        Spikes compared and unequal; zero for a read-out.
    readout_error : float or None
        Largest difference of a read-out membrane relative to the largest membrane.
    """

    neuron_steps: int
    differing: int
    readout_error: float | None = None

    def __str__(self) -> str:
        if self.readout_error is not None:
            return f"membrane within {100 * self.readout_error:.2g}% of its largest"
        share = 100 * (1 - self.differing / self.neuron_steps)
        return f"{share:.3f}% of spikes agree ({self.differing} of {self.neuron_steps} differ)"


@dataclass(frozen=True, eq=False)
class Imported:
    """A NIR file of any tool, deployed.

    Attributes
    ----------
    folder : Path
        Holds the files.
    files : dict of str to Path
        ``float_nir``, ``integer_nir`` and ``program``; an integer file of our own has no float one.
    float_graph : Graph or None
    integer_graph : Graph
    program : Program
    choices : dict of str to str
        What the file left open, and where the answer came from.
    agreement : dict of str to Agreement
        Float against integer, by population; empty without data.
    notes : tuple of str
        What a user should know before relying on the program.
    fitted : FitResult or None
        Against the chip, when one was named.
    """

    folder: Path
    files: dict[str, Path]
    float_graph: Graph | None
    integer_graph: Graph
    program: Program
    choices: dict[str, str]
    agreement: dict[str, Agreement] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fitted: FitResult | None = None


def is_nir(argument: str | None) -> bool:
    """Whether an argument names a NIR file and not a recipe."""
    if argument is None:
        return False
    if argument.endswith(".nir"):
        return True
    try:
        return Path(argument).is_file() and bool(h5py.is_hdf5(argument))
    except OSError:
        return False


def export_nir(
    path: str | Path,
    folder: str | Path | None = None,
    *,
    dt: float | None = None,
    reset: Reset | None = None,
    coding: Literal["spikes", "direct"] | None = None,
    peak: int | None = None,
    integrate: Literal["impulse", "current"] | None = None,
    timesteps: int | None = None,
    bits: int | None = None,
    wide: Collection[str] | None = (),
    data: str | Path | NDArray[np.float32] | None = None,
    chip: str | None = None,
) -> Imported:
    """Take a NIR file of any tool, or one of our own, to an integer program.

    Parameters
    ----------
    folder : str or Path, optional
        Takes ``model.nir``, ``model.int8.nir`` and ``program.npz``; ``build/<name of the file>`` by default.
    dt, reset, coding, peak, integrate
        What NIR leaves open and the file's metadata does not state; see
        :class:`spikewright.export.foreign.choices.Choices`.
    timesteps : int, optional
        Steps of a sample; those of the data, of the file's metadata, or 100.
    bits : int, optional
        Weight bits with sign: 2 to 8, or 15; 8 by default.
    wide : collection of str, or None
        Layers with 15-bit weights where ``bits`` is 8; None chooses those whose rounding error is large.
    data : path or ndarray, optional
        Samples for calibration and comparison: (N, timesteps, ...) spikes, or (N, ...) values with direct coding.
    chip : str, optional
        Chip to hold the program against; one without thresholds a neuron gets one scale a layer.

    Raises
    ------
    BuildError, ExportError, ProgramError, ChipError
        A file, choice or sample that cannot be used; nothing is written then.
    """
    path = Path(path)
    place = Path("build") / path.stem if folder is None else Path(folder)
    samples = read_samples(Path(data)) if isinstance(data, str | Path) else data
    chosen = load_chip(chip) if chip is not None else None
    choices = Choices(dt, reset, timesteps, coding, peak, integrate)
    own = is_own(path)
    notes: list[str] = []
    if own:
        graph = _own(path, choices)
        used = {"format": "Spikewright's own: its metadata states every choice"}
    else:
        graph, used = _foreign(path, choices, samples, notes)
    made = graph.settings.weight_bits is not None
    if made and (wide is None or len(wide) or bits not in (None, graph.settings.weight_bits)):
        raise BuildError(
            f"{path}: is quantised to {graph.settings.weight_bits} bits; leave --bits and --wide out, or export the "
            "float file"
        )
    if samples is not None:
        samples = _fitting(graph, samples)
    _notes_of(graph, notes)
    run: FloatRun | None = None
    integer = graph
    if not made:
        run = None if samples is None else run_float(graph, samples)
        if run is None:
            notes.append("quantised by the weights alone; --data FILE.npz calibrates and compares")
        per_channel = chosen is None or chosen.per_neuron_threshold.value
        calibration = Calibration({}, {}) if run is None else Calibration.of(run)
        try:
            integer = (
                quantise(graph, calibration, bits=bits or 8, per_channel=per_channel, wide=wide)
                if samples is None
                else quantise_corrected(
                    graph, samples, calibration, bits=bits or 8, per_channel=per_channel, wide=wide
                )
            )
        except ExportError as error:
            more = "; or give --data" if run is None else ""
            raise ExportError(f"{path}: {error}{more}") from None
    files = _write(place, None if made else graph, integer)
    program = load_program(files["program"])
    written = read_graph(files["integer_nir"])
    _notes_of_program(written, program, notes)
    return Imported(
        folder=place,
        files=files,
        float_graph=None if made else read_graph(files["float_nir"]),
        integer_graph=written,
        program=program,
        choices={**used, "steps": str(program.timesteps), "bits": str(integer.settings.weight_bits)},
        agreement={} if run is None or samples is None else _agreement(program, run, samples),
        notes=tuple(notes),
        fitted=None if chosen is None else fit(program, chosen),
    )


def read_samples(path: Path) -> NDArray[np.float32]:
    """Samples of a ``.npy`` or ``.npz`` file: its ``spikes``, its ``samples``, or its first array.

    Raises
    ------
    BuildError
        The file cannot be read, or holds no numbers.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded as file:
                if not file.files:
                    raise BuildError(f"{path}: holds no array; save samples (N, steps, ...) under 'spikes'")
                loaded = file[next((key for key in KEYS if key in file.files), file.files[0])]
    except FileNotFoundError:
        raise BuildError(f"{path}: no such file") from None
    except BuildError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes
        raise BuildError(
            f"{path}: not a readable .npz or .npy file ({error}); save it with numpy.savez"
        ) from None
    if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "fiub" or loaded.ndim < 2:
        raise BuildError(f"{path}: holds no array of numbers (samples, ...)")
    if not len(loaded) or not np.isfinite(loaded).all():
        raise BuildError(f"{path}: holds no samples, or NaN or infinite values; check how it was made")
    return loaded.astype(np.float32)


def is_own(path: Path) -> bool:
    """Whether a file carries the metadata that Spikewright writes."""
    try:
        with h5py.File(path, "r") as file:
            return METADATA in file["node/metadata"]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        return False  # whoever reads the file says what is wrong with it


def _own(path: Path, choices: Choices) -> Graph:
    graph = read_graph(path)
    settings = graph.settings
    stated = {"dt": settings.dt, "timesteps": settings.timesteps}
    for name, value in vars(choices).items():
        if value is not None and stated.get(name) != value:
            said = f"{stated[name]}" if name in stated else "it"
            flag = "steps" if name == "timesteps" else name
            raise BuildError(f"{path}: states {said} itself (metadata {METADATA!r}); leave --{flag} out")
    return graph


def _foreign(
    path: Path, choices: Choices, samples: NDArray[np.float32] | None, notes: list[str]
) -> tuple[Graph, dict[str, str]]:
    """The float graph of a foreign file, and its choices with their origin."""
    read = open_foreign(path, choices)
    found = read.choices
    steps = found.timesteps
    given = (
        samples.shape[1] if samples is not None and found.coding != "direct" and samples.ndim > 1 else None
    )
    if given is not None and choices.timesteps is None:
        steps = given
    graph = replace(
        read.graph,
        settings=replace(read.graph.settings, timesteps=DEFAULT_STEPS if steps is None else steps),
    )
    if steps is None:
        notes.append(f"no one states the steps of a sample: {DEFAULT_STEPS}; --steps or --data states them")
    if found.coding is None:
        notes.append("no one states the input coding: spikes; --coding direct for real values")
    used = {
        name: f"{getattr(found, name)} ({origin})"
        for name, origin in read.origins.items()
        if name != "timesteps"
    }
    return graph, used


def _fitting(graph: Graph, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples in the input's shape, flat ones included.

    Raises
    ------
    BuildError
        Another shape, or values that the input coding does not have.
    """
    node = next(n for n in graph.nodes.values() if isinstance(n, Input))
    steps = graph.settings.timesteps
    lead = (steps,) if node.coding == "spikes" else ()
    rest = samples.shape[1 + len(lead) :]
    if samples.shape[1 : 1 + len(lead)] != lead or prod(rest) != prod(node.shape) or not rest:
        wanted = ", ".join(map(str, ("samples", *lead, *node.shape)))
        raise BuildError(f"--data: samples of shape {samples.shape}, the network takes ({wanted})")
    if rest != node.shape and len(rest) > 1 and _squeezed(rest) != _squeezed(node.shape):
        raise BuildError(f"--data: samples of shape {rest}, the input has {node.shape}; transpose them")
    if node.coding == "spikes" and not np.isin(samples, range(node.peak + 1)).all():
        worst = samples.flat[int(np.argmax(~np.isin(samples, range(node.peak + 1))))]
        raise BuildError(
            f"--data: holds {worst:g}, spikes are whole numbers up to {node.peak}; state --peak, or --coding direct"
        )
    return samples.reshape(len(samples), *lead, *node.shape)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n > 1)


def _notes_of(graph: Graph, notes: list[str]) -> None:
    subtracting = [n for n, node in graph.nodes.items() if getattr(node, "reset", "zero") != "zero"]
    if subtracting:
        notes.append(
            f"{', '.join(subtracting)}: reset by subtraction; the emulator and the reference run it, Lava refuses, since "
            "no neuron of Lava does it"
        )


def _notes_of_program(graph: Graph, program: Program, notes: list[str]) -> None:
    """What the compiled network asks of whoever runs it."""
    if program.isolated:
        notes.append(
            "spikes lag in a loop or delay: samples run one by one, each from rest, and do not stream"
        )
    fine = {name: n for name, n in graph.nodes.items() if isinstance(n, Synapses) and n.refines}
    if fine:
        layers = sorted({target for name in fine for target in graph.targets(name)})
        more = sum(int(fan_out(n.map).sum()) for n in fine.values())
        every = sum(int(fan_out(g.map).sum()) for g in program.synapses)
        notes.append(
            f"15-bit weights into {', '.join(layers)}: {more} more synapses, {every} in all, for the finer half of each"
        )


def _write(folder: Path, graph: Graph | None, integer: Graph) -> dict[str, Path]:
    """All files or none."""
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".import.{os.getpid()}.tmp"
    roles = {"integer_nir": INTEGER, "program": PROGRAM}
    try:
        temporary.mkdir()
        if graph is not None:
            roles = {"float_nir": FLOAT, **roles}
            write_nir(graph, temporary / FLOAT)
        # The next level starts from what is read back: the files are the result.
        save_program(compile_program(write_nir(integer, temporary / INTEGER)), temporary / PROGRAM)
        for name in roles.values():
            os.replace(temporary / name, folder / name)
        if graph is None:
            (folder / FLOAT).unlink(missing_ok=True)  # of an earlier export: another network's
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if fresh:
            with suppress(OSError):
                folder.rmdir()
        raise
    shutil.rmtree(temporary, ignore_errors=True)
    return {role: folder / name for role, name in roles.items()}


def _agreement(program: Program, run: FloatRun, samples: NDArray[np.float32]) -> dict[str, Agreement]:
    """The emulator against the float run, population by population."""
    inputs, _ = host.encode(program, samples)
    recording = Emulator(program).run(inputs, detail="spikes")
    found: dict[str, Agreement] = {}
    for p in program.populations:
        if p.name in run.spikes:
            unequal = recording.spikes[p.name] != run.spikes[p.name]
            found[p.name] = Agreement(unequal.size, int(unequal.sum()))
        elif p.name in run.readouts:
            wanted = run.readouts[p.name]
            off = np.abs(recording.readouts[p.name] / p.scale - wanted).max()
            found[p.name] = Agreement(0, 0, float(off / max(np.abs(wanted).max(), 1e-30)))
    return found
