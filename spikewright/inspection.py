"""What a file holds: nodes, schedule, and each layer's scale chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .errors import BuildError
from .export.formats import Ints
from .export.graph import Graph, IntegerNeuron, Synapses
from .export.linear import fan_out
from .export.nir_read import read_graph
from .export.scale_chain import Link, scale_chain
from .hardware.program import Program
from .hardware.program_io import load_program
from .lowering import FLOAT, INTEGER


def inspect(file: Path, console: Console, json: bool) -> None:
    """Print a NIR file, a program, or a build folder.

    Raises
    ------
    BuildError, ExportError, ProgramError
        A file of another kind, or one that cannot be read.
    """
    if file.is_dir():
        original = read_graph(file / FLOAT) if (file / FLOAT).exists() else None
        _show_graph(console, read_graph(file / INTEGER), original, json)
    elif file.suffix == ".nir":
        _show_graph(console, read_graph(file), None, json)
    elif file.suffix == ".npz":
        _show_program(console, load_program(file), json)
    else:
        raise BuildError(f"{file}: neither .nir nor .npz nor a folder")


def _show_graph(console: Console, graph: Graph, original: Graph | None, json: bool) -> None:
    nodes = [(name, graph.nodes[name]) for name in graph.order()]
    integer = graph.settings.weight_bits is not None
    chains = scale_chain(graph, original) if integer else {}
    if json:
        rows = [
            {"name": n, "type": _kind(node), "shape": list(node.shape), "from": graph.sources(n)}
            for n, node in nodes
        ]
        links = {
            name: [{**vars(k), "error_percent": k.error_percent} for k in chain]
            for name, chain in chains.items()
        }
        console.print_json(
            data={"name": graph.name, "settings": vars(graph.settings), "nodes": rows, "scales": links}
        )
        return
    settings = graph.settings
    console.print(
        f"{graph.name}: {settings.timesteps} steps of {settings.dt} s",
        highlight=False,
    )
    table = Table("node", "type", "shape", "from", "weights", box=None)
    for name, node in nodes:
        weights = f"{node.map.weight.dtype} {node.map.weight.shape}" if isinstance(node, Synapses) else ""
        table.add_row(
            name, _kind(node), "x".join(map(str, node.shape)), ", ".join(graph.sources(name)), weights
        )
    console.print(table)
    for step in graph.host_steps:
        console.print(f"host: {step.kind} at {step.node}", highlight=False)
    if chains:
        console.print(_chain_table(chains))


def _kind(node: Any) -> str:
    if isinstance(node, Synapses):
        return type(node.map).__name__
    if isinstance(node, IntegerNeuron):
        return f"integer {type(node.origin).__name__}"
    return type(node).__name__


def _chain_table(chains: dict[str, list[Link]]) -> Table:
    table = Table(
        "layer",
        "quantity",
        "float",
        "integer",
        "back",
        "error %",
        box=None,
        title="Scale chains, worst value each",
    )
    for name, links in chains.items():
        for link in links:
            numbers = (
                f"{link.float_value:.6g}",
                str(link.integer_value),
                f"{link.back:.6g}",
                f"{link.error_percent:+.3f}",
            )
            table.add_row(name, link.quantity, *numbers)
    return table


def _show_program(console: Console, program: Program, json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": p.name,
            "neurons": p.size,
            "synapses": sum(int(fan_out(g.map).sum()) for g in program.inputs_of(p.name)),
            "start": p.start,
            "reset_interval": program.period,
            "reset_offset": program.reset_offset(p),
            "membrane_decay": _span(p.membrane_decay),
            "threshold": [int(p.threshold.min()), int(p.threshold.max())],
        }
        for p in program.populations
    ]
    if json:
        header = {
            "name": program.name,
            "timesteps": program.timesteps,
            "period": program.period,
            "depth": program.depth,
        }
        console.print_json(data={**header, "populations": rows})
        return
    console.print(
        f"{program.name}: {program.timesteps} steps a sample, one every {program.period}, {program.depth} steps deep",
        highlight=False,
    )
    table = Table("population", "neurons", "synapses", "start", "reset at", "decay", "threshold", box=None)
    for row in rows:
        low, high = row["threshold"]
        span = str(low) if low == high else f"{low}..{high}"
        reset = f"t % {program.period} = {row['reset_offset']}"
        table.add_row(
            row["name"],
            str(row["neurons"]),
            str(row["synapses"]),
            str(row["start"]),
            reset,
            str(row["membrane_decay"]),
            span,
        )
    console.print(table)


def _span(register: Ints) -> int | str:
    """One register, or the range of them."""
    low, high = int(register.min()), int(register.max())
    return low if low == high else f"{low}..{high}"
