"""NIR files with something wrong in them, read as the command line does, and what is accepted held against its meaning.

``python -m tests.properties.import_fuzz --count 20000`` prints the totals. Files are read in child processes, hundreds in
each, with limits of time and memory: a crash of HDF5 or a hang ends the child, is counted, and the next goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from spikewright.export.calibration import Calibration
from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.foreign.choices import Choices
from spikewright.export.foreign.convert import read_foreign
from spikewright.export.formats import (
    ALIGNMENT_SHIFT,
    CURRENT_DECAY_OFFSET,
    DECAY_ONE,
    RESETS,
    bias_value,
    weight_unit,
)
from spikewright.export.graph import LI, LIF, Graph, Input, IntegerNeuron, Synapses
from spikewright.export.linear import with_weight
from spikewright.export.nir_read import read_graph
from spikewright.export.nir_write import write_nir
from spikewright.export.quantise import quantise
from spikewright.importing import is_own
from tests.export import nir_interpreter
from tests.export.foreign_graphs import DT, Maker, write

BASES, STEPS, SECONDS, MEMORY = 24, 6, 30, 6 << 30
BATCH, LARGEST = 2000, 8
NEAR = 1e-3


def base(folder: Path, index: int) -> Path:
    """A sound file: of another tool, or of ours at the float or integer level."""
    path = folder / f"{index}.nir"
    if path.exists():
        return path
    random, nodes = Random(f"base {index}"), {}
    while not 5 <= len(nodes) <= LARGEST:
        graph = Maker(random, RESETS[index // 4 % 2]).graph()[0]
        nodes = graph["nodes"]
    foreign = write(path, graph)
    if index % 4 > 1:
        read = read_foreign(foreign, Choices(DT, RESETS[index // 4 % 2], STEPS, integrate="impulse"))  # type: ignore[arg-type]
        if index % 4 == 3:
            read = quantise(read, Calibration({}, {}))
        write_nir(read, path)
    return path


def mutate(random: Random, source: Path, target: Path) -> str:
    """Write a damaged copy; returns what was done."""
    content = bytearray(source.read_bytes())
    how = random.choice(("flip", "flip", "zero", "cut", "noise", *["structure"] * 7))
    if how == "structure":
        target.write_bytes(content)
        try:
            with h5py.File(target, "r+") as file:
                return _restructure(random, file, source)
        except (ValueError, TypeError, OSError, RuntimeError, KeyError):
            return "structure: not possible"
    at = random.randrange(len(content))
    run = slice(at, min(len(content), at + random.choice((1, 4, 16, 64))))
    if how == "cut":
        content = content[:at]
    elif how == "flip":
        for _ in range(random.choice((1, 1, 2, 8))):
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    elif how == "zero":
        content[run] = bytes(len(content[run]))
    else:
        content[run] = bytes(random.randrange(256) for _ in content[run])
    target.write_bytes(content)
    return how


def _restructure(random: Random, file: h5py.File, source: Path) -> str:
    found: dict[str, Any] = {}
    file.visititems(found.__setitem__)
    items = list(found)
    datasets = [n for n, item in found.items() if isinstance(item, h5py.Dataset)]
    numeric = [n for n in datasets if found[n].dtype.kind in "fiu"]
    nodes = [n for n in items if n not in datasets and n.rsplit("/", 2)[-2:-1] == ["nodes"]]
    name, number, node = random.choice(items), random.choice(numeric), random.choice(nodes)
    how = random.choice(("remove", "retype", "reshape", "rename", "value", "value", "value", "value", "edges", "edges",
                         "swap", "deep", "text", "soft", "external", "cycle", "huge", "copy", "header"))  # fmt: skip

    def put(where: str, value: Any) -> None:
        del file[where]
        file[where] = value

    if how == "remove":
        del file[name]
    elif how == "retype":
        kind = random.choice(("f2", "f4", "i4", "u1", "c8", "S4", "?", "i8", "f8"))
        put(number, file[number][()].astype(kind))
    elif how == "reshape":
        value = np.asarray(file[number][()])
        shapes = [
            value.reshape(-1),
            value[None],
            value[..., None],
            value.T,
            np.squeeze(value),
            value[:1] if value.ndim else value,
        ]
        put(number, random.choice(shapes))
    elif how == "rename":
        file.move(name, name + random.choice(("x", "", " ", ".a", "_in")))
    elif how == "value":
        value = np.array(file[number][()])
        wrong = random.choice((np.nan, np.inf, -1, 0, 1e30, -1e30, 1e300, 1 << 40, 0.5, 2, 3, 1e-30, -7))
        with np.errstate(all="ignore"):
            if random.random() < 0.5 or not value.size:
                value = np.full(
                    value.shape, wrong, value.dtype if np.isfinite(wrong) and abs(wrong) < 1 << 30 else float
                )
            else:
                value = value.astype(float) if value.dtype.kind == "f" or wrong != wrong else value
                value.flat[random.randrange(value.size)] = (
                    wrong if value.dtype.kind == "f" else int(np.clip(np.nan_to_num(wrong), -100, 100))
                )
        put(number, value)
    elif how == "edges":
        where = random.choice([n for n in datasets if n.endswith("edges")])
        edges = [[v.decode() for v in pair] for pair in file[where][()]]
        ends = [n.rsplit("/", 1)[-1] for n in nodes]
        pick = random.randrange(len(edges))
        change = random.choice(("turn", "again", "away", "gone", "new", "flat"))
        if change == "turn":
            edges[pick].reverse()
        elif change == "again":
            edges.append(edges[pick])
        elif change == "away":
            edges[pick][random.randrange(2)] = random.choice([*ends, "ghost"])
        elif change == "gone":
            del edges[pick]
        elif change == "new":
            edges.append([random.choice(ends), random.choice(ends)])
        put(where, np.array(edges, dtype=h5py.string_dtype()).reshape((-1,) if change == "flat" else (-1, 2)))
        return f"edges: {change}"
    elif how == "swap":
        kinds = ("LIF", "IF", "CubaLIF", "LI", "Affine", "Linear", "Input", "Output", "Scale", "Threshold", "Flatten",
                 "Delay", "NIRGraph", "Conv2d", "SumPool2d", "AvgPool2d", "Conv1d", "I", "CubaLI", "Sine", "")  # fmt: skip
        put(f"{node}/type", random.choice(kinds))
    elif how == "deep":
        inside = file[node]
        for _ in range(random.choice((3, 40))):
            inside = inside.create_group("nodes/deep")
            inside["type"] = "NIRGraph"
            inside["edges"] = np.zeros((0, 2))
    elif how == "text":
        put(random.choice(datasets), random.choice(("a string", "", "same", "1e-4", "é" * 500)))
    elif how == "soft":
        put(name, h5py.SoftLink("/" + random.choice([*items, "nowhere"])))
    elif how == "external":
        put(name, h5py.ExternalLink(str(source), random.choice(items)))
    elif how == "cycle":
        file[f"{node}/{random.choice(('nodes', 'again', 'metadata'))}"] = file["node"]
    elif how == "huge":
        del file[number]
        shape = random.choice(((1 << 40,), (1 << 20, 1 << 20), (1 << 26,), (5000, 5000), (0,), (0, 3)))
        file.create_dataset(number, shape=shape, dtype="f4", chunks=tuple(min(64, n or 1) for n in shape))
    elif how == "copy":
        file.copy(random.choice(nodes), f"{node.rsplit('/', 1)[0]}/copied")
    else:
        group = file[random.choice(["node", node])].require_group("metadata")
        key = random.choice(("spikewright", "dt", "reset", "timesteps", "coding", "peak"))
        if key in group and isinstance(group[key][()], bytes):
            header = json.loads(group[key][()])
            field = random.choice(sorted(header))
            header[field] = random.choice((None, -1, 0, 2, 1e9, "x", [], True, [3]))
            put(f"{group.name}/{key}", json.dumps(header))
        else:
            group[key] = random.choice(("zero", "subtract", "x", 1e-4, -1.0, 3, [1, 2], np.nan))
    return how


def floats(graph: Graph) -> Graph:
    """An integer graph with its numbers taken as floats: what its NIR nodes say."""
    if graph.settings.weight_bits is None:
        return graph
    out = graph
    for name, node in graph.nodes.items():
        if not isinstance(node, IntegerNeuron):
            continue
        bias = bias_value(node.bias_mantissa, node.bias_exponent) + 0.0
        if node.line.size:
            bias = bias + (node.line << ALIGNMENT_SHIFT)
        for source in graph.sources(name):
            group = graph.nodes[source]
            assert isinstance(group, Synapses)
            assert group.exponent is not None
            weight = (group.map.weight * weight_unit(group.exponent)).astype(np.float32)
            here = replace(
                group,
                map=with_weight(group.map, weight),
                bias=bias.astype(np.float32),
                exponent=None,
                refines="",
            )
            out, bias = out.with_node(source, here), bias * 0
        beta, alpha = (
            1 - node.membrane_decay / DECAY_ONE,
            1 - (node.current_decay + CURRENT_DECAY_OFFSET) / DECAY_ONE,
        )
        threshold = (node.threshold << ALIGNMENT_SHIFT).astype(np.float32)
        cells: Any = (
            LI(node.shape, beta, alpha)
            if node.readout
            else LIF(node.shape, beta, threshold, alpha=alpha, reset=node.reset)
        )
        out = out.with_node(name, cells)
    return replace(out, settings=replace(graph.settings, weight_bits=None))


def judge(path: Path, reset: str, seed: int) -> tuple[str, str]:
    """Read a file as the command line does; returns what happened, and the detail."""
    own = is_own(path)
    try:
        graph = (
            read_graph(path) if own else read_foreign(path, Choices(DT, reset, STEPS, integrate="impulse"))
        )  # type: ignore[arg-type]
    except ExportError as error:
        good = str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return ("refused" if good else "bad message"), str(error)
    except Exception:
        return "traceback", traceback.format_exc()
    graph = floats(replace(graph, settings=replace(graph.settings, timesteps=STEPS)))
    (enters,) = (n for n in graph.nodes.values() if isinstance(n, Input))
    raster = np.random.default_rng(seed).random((1, STEPS, *enters.shape)) < 0.5
    samples = raster.astype(np.float32)
    if enters.coding == "direct":
        return "accepted: direct", ""
    mine = run_float(graph, samples)
    kinds = {n.reset for n in graph.nodes.values() if isinstance(n, LIF) and n.beta.any()}
    if len(kinds) > 1:
        return "accepted: two resets", ""
    dt = graph.settings.dt if own else DT
    integrate = "current" if own else "impulse"
    try:
        wanted = nir_interpreter.run(
            nir_interpreter.load(path), samples[0], dt, next(iter(kinds), reset), integrate
        )
    except Exception:
        return "accepted, not understood", traceback.format_exc()
    known = {*mine.spikes, *mine.readouts}
    missing = known - set(wanted.order)
    if missing or not known:
        return "accepted, changed", f"populations {missing}"
    sizes = {n: s.shape[-1] for n, s in mine.spikes.items() if s.shape[-1] != wanted.spikes[n].shape[-1]}
    if sizes:
        return "accepted, changed", f"sizes {sizes}"
    for t in range(STEPS):
        for name in wanted.order:
            if name in mine.spikes:
                unequal = wanted.spikes[name][t] != mine.spikes[name][0, t]
                if unequal.any():
                    near = wanted.margins[name][t][unequal].min()
                    return (
                        ("accepted, rounding", "")
                        if near < NEAR
                        else ("accepted, changed", f"{name} {t} {near}")
                    )
    return "accepted, same meaning", ""


def work(first: int, last: int, folder: Path) -> None:
    """Judge a batch, a line of JSON each; dies where a file crashes or hangs it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    target = folder / f"mutated{first}.nir"
    for seed in range(first, last):
        random = Random(f"fuzz {seed}")
        index = random.randrange(BASES)
        how = mutate(random, base(folder, index), target)
        signal.alarm(SECONDS)
        result, detail = judge(target, RESETS[index // 4 % 2], seed)
        signal.alarm(0)
        print(json.dumps([seed, how, result, detail]), flush=True)


def fuzz(count: int, start: int = 0) -> tuple[Counter[str], list[tuple[int, str, str, str]]]:
    """Totals over mutated files, and every one that is a finding."""
    totals: Counter[str] = Counter()
    findings: list[tuple[int, str, str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(BASES):
            base(folder, index)
        at, end = start, start + count
        while at < end:
            last = min(end, at + BATCH)
            command = [
                sys.executable,
                "-m",
                "tests.properties.import_fuzz",
                "--work",
                str(at),
                str(last),
                name,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            for seed, how, result, detail in lines:
                totals[result] += 1
                totals[f"by {re.sub(r':.*', '', how)}"] += 1
                if result in FINDINGS:
                    findings.append((seed, how, result, detail))
            at += len(lines)
            if at < last:
                kind = "hang" if done.returncode == -signal.SIGALRM else "crash"
                totals[kind] += 1
                findings.append((at, "", kind, f"{done.returncode} {done.stderr[-2000:]}"))
                at += 1
    return totals, findings


FINDINGS = ("traceback", "bad message", "accepted, changed", "accepted, not understood")

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--work", nargs=3)
    options = parser.parse_args()
    if options.work:
        work(int(options.work[0]), int(options.work[1]), Path(options.work[2]))
    else:
        totals, findings = fuzz(options.count, options.start)
        for finding in findings:
            print(*finding)
        print(json.dumps(dict(sorted(totals.items())), indent=1))
