"""The diff step: two artefacts, or two backends, on the same samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from .benchmarks.equivalence import observe, trace_file
from .benchmarks.equivalence.cause import Models
from .benchmarks.equivalence.constants import GraphModels, ProgramModels
from .benchmarks.equivalence.diff import diff
from .benchmarks.equivalence.diff_report import Report
from .benchmarks.equivalence.traces import Trace
from .errors import BuildError
from .export.graph import Graph, Input
from .export.nir_read import read_graph
from .export.whole_file import whole_file
from .hardware.compile import compile_program
from .hardware.program import Program
from .hardware.program_io import load_program
from .lowering import FLOAT, PROGRAM
from .progress import Steps
from .samples import load_samples, random_spikes
from .workspace import Workspace

INTEGER: tuple[str, ...] = get_args(observe.Backend)
FIGURES = (".png", ".pdf", ".svg")
SAMPLES = 8
Samples: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Choices:
    """How samples are chosen.

    Attributes
    ----------
    count : int or None
        Samples; all of a recording, else eight, by default.
    data : Path or None
        File of samples.
    seed, rate : int, float
        Of random spikes, which are drawn only where a network takes spikes and no data are at hand.
    time_limit : float
        Seconds that Lava may take.
    """

    count: int | None = None
    data: Path | None = None
    seed: int = 0
    rate: float = 0.2
    time_limit: float = 600.0


@dataclass(frozen=True, eq=False)
class Party:
    """One side of a comparison.

    Attributes
    ----------
    run : callable
        Samples to the trace of a run and the constants behind it, where they are known.
    spikes : tuple of (int, tuple of int), or None
        Time steps and shape of the spikes that it takes; None where it takes real values.
    recorded : Trace or None
        A run of the past, which takes no samples.
    """

    title: str
    run: Callable[[Samples], tuple[Trace, Models | None]]
    spikes: tuple[int, tuple[int, ...]] | None = None
    recorded: Trace | None = None


def compare(
    a: Path,
    b: Path | None,
    backends: tuple[str | None, str | None],
    steps: Steps,
    choices: Choices,
    picture: Path | None = None,
) -> Report:
    """Run both sides on the same samples and compare them.

    Parameters
    ----------
    a, b : Path
        Build folder, float or integer ``.nir``, program or recording ``.npz``. Without ``b``, the float network of a
        build folder is held against its program, and other files against themselves on another backend.
    backends : tuple of str
        Who runs each side: ``emulator``, ``reference`` or ``lava``; ``float``, ``norse`` or ``snntorch``. By default the
        float interpreter runs floats and the emulator integers.
    picture : Path, optional
        Takes a picture of the comparison.

    Raises
    ------
    BuildError, DiffError, ExportError, ProgramError
        Files or samples that cannot be used.
    LavaError
        Lava is missing or failed.
    """
    if picture is not None and picture.suffix not in FIGURES:
        raise BuildError(f"{picture}: pictures are written as {', '.join(FIGURES)}")
    if picture is not None and not picture.parent.is_dir():
        raise BuildError(f"{picture.parent}: no such folder; make it first")
    first, second = backends
    if b is None:
        if a.is_dir():
            first = first or ("emulator" if second in ("reference", "lava") else "float")
        b, second = a, second or ("emulator" if a.is_dir() and first != "emulator" else None)
    parties = [_party(path, backend, choices) for path, backend in ((a, first), (b, second))]
    if a == b and parties[0].title == parties[1].title:
        raise BuildError(f"{a}: compared with itself; give a second file, or --backend-b")
    samples = None
    if any(party.recorded is None for party in parties):
        samples = _samples(parties, (a, b), steps, choices)
    runs: list[tuple[Trace, Models | None]] = []
    for party in parties:
        if party.recorded is not None:
            runs.append((party.recorded, None))
            continue
        assert samples is not None
        with steps(f"{party.title}, {len(samples)} samples"):
            runs.append(party.run(samples))
    (trace_a, models_a), (trace_b, models_b) = runs
    models = None if models_a is None or models_b is None else (models_a, models_b)
    report = diff(trace_a, trace_b, models)
    if picture is not None:
        _draw(report, trace_a, trace_b, picture)
    return report


def _party(path: Path, backend: str | None, choices: Choices) -> Party:
    """The side that a path and a backend stand for."""
    if path.is_dir():
        backend = backend or "emulator"
        if backend == "snntorch":
            return _module(Workspace.open(path))
        path = path / (PROGRAM if backend in INTEGER else FLOAT)
        if not path.exists():
            raise BuildError(f"{path}: missing; run `spikewright export` first")
    if backend == "snntorch":
        raise BuildError(f"{path}: a file holds no torch module; give the build folder to run snnTorch")
    if path.suffix == ".nir":
        graph = read_graph(path)
        if graph.settings.weight_bits is None:
            return _float(path, graph, _backend(path, backend, ("float", "norse"), "a float graph"))
        chosen = _backend(path, backend, INTEGER, "an integer graph")
        return _integer(path, compile_program(graph), chosen, choices)
    if path.suffix != ".npz":
        raise BuildError(f"{path}: neither a .nir nor an .npz file nor a build folder")
    if trace_file.format_of(path) == trace_file.FORMAT:
        if backend is not None:
            raise BuildError(f"{path}: is a recording, which no backend runs; leave out --backend")
        trace = trace_file.load_trace(path)
        return Party(f"{path}", lambda samples: (trace, None), recorded=trace)
    return _integer(path, load_program(path), _backend(path, backend, INTEGER, "a program"), choices)


def _backend(path: Path, backend: str | None, allowed: tuple[str, ...], what: str) -> str:
    if backend is None:
        return allowed[0]
    if backend not in allowed:
        raise BuildError(f"{path}: is {what}, which {backend} cannot run; choose {' or '.join(allowed)}")
    return backend


def _float(path: Path, graph: Graph, backend: str) -> Party:
    def run(samples: Samples) -> tuple[Trace, Models | None]:
        if backend == "norse":
            return observe.trace_norse(path, graph, samples), None
        return observe.trace_float(graph, samples, f"{path} in float"), GraphModels(graph, samples)

    return Party(f"{path} in {backend}", run, _coding(graph))


def _coding(graph: Graph) -> tuple[int, tuple[int, ...]] | None:
    node = graph.nodes[graph.select(Input)[0]]
    assert isinstance(node, Input)
    return (graph.settings.timesteps, node.shape) if node.coding == "spikes" else None


def _integer(path: Path, program: Program, backend: str, choices: Choices) -> Party:
    title = f"{path} on {backend}"

    def run(samples: Samples) -> tuple[Trace, Models | None]:
        chosen = cast(observe.Backend, backend)
        trace = observe.trace_program(program, samples, chosen, what=title, time_limit=choices.time_limit)
        return trace, ProgramModels(program, samples)

    if program.host.get("encoders"):
        return Party(title, run)
    sources = [s for s in program.sources if not s.constant]
    return Party(title, run, (program.timesteps, sources[0].shape) if len(sources) == 1 else None)


def _module(place: Workspace) -> Party:
    graph = read_graph(place.require(place.float_nir, "export"))
    title = f"{place.folder} in snnTorch"

    def run(samples: Samples) -> tuple[Trace, Models | None]:
        trace = observe.trace_module(
            place.network("snn"), samples, graph.settings.timesteps, graph=graph, method="step", what=title
        )
        return trace, None

    return Party(title, run)


def _samples(parties: list[Party], paths: tuple[Path, Path], steps: Steps, choices: Choices) -> Samples:
    """Samples given; those of a recording; of a build's data set; or random spikes."""
    count = choices.count or SAMPLES
    if choices.data is not None:
        return load_samples(choices.data)[:count]
    for party in parties:
        if party.recorded is not None and party.recorded.samples is not None:
            return party.recorded.samples[: choices.count]
    for path in paths:
        folder = path if path.is_dir() else path.parent
        if (folder / "recipe.json").exists():
            place = Workspace.open(folder)
            if place.dataset_note:
                steps.note(place.dataset_note)
            return place.test_images[:count]
    spikes = next((p.spikes for p in parties if p.spikes is not None), None)
    if spikes is None:
        raise BuildError(f"{paths[0]}: takes real values and no data are at hand; give --data samples.npy")
    steps.note(
        f"no data at hand: {count} samples of random spikes, {choices.rate:g} a line and step, seed {choices.seed}"
    )
    return random_spikes(count, *spikes, rate=choices.rate, seed=choices.seed)


def _draw(report: Report, a: Trace, b: Trace, path: Path) -> None:
    from .benchmarks.equivalence.diff_figure import diff_figure  # loads matplotlib
    from .benchmarks.report.figures import DPI

    with whole_file(path) as temporary:
        diff_figure(report, a, b).savefig(temporary, format=path.suffix[1:], dpi=DPI)
