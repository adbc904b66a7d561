"""Where a loop closes: which of its spikes are those of the step before, which NIR's continuous time leaves open."""

from __future__ import annotations

from ..errors import ExportError
from .raw import RawGraph


def back_edges(raw: RawGraph) -> set[tuple[str, str]]:
    """Edges that lead back to where their loop was entered; spikes take a step there.

    Raises
    ------
    ExportError
        A loop that is entered at several nodes: nothing says whose spikes are late.
    """
    targets: dict[str, list[str]] = {n: [] for n in raw.nodes}
    for a, b in raw.edges:
        targets[a].append(b)
    inputs = [n for n, node in raw.nodes.items() if node.kind == "Input"]
    back = _closing(targets, [*inputs, *raw.nodes])
    for source, entry in sorted(back):
        # The entry of a loop lies on every way into it.
        if source != entry and source in _reached(targets, [n for n in inputs if n != entry], without=entry):
            raise ExportError(
                f"{entry}: is in a loop with {source} that is entered at both, and NIR does not say whose spikes are a "
                "step late; feed the loop at one of them"
            )
    return back


def _closing(targets: dict[str, list[str]], starts: list[str]) -> set[tuple[str, str]]:
    """Edges to a node that is still being followed, depth first."""
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for start in starts:
        if start in done:
            continue
        path = {start: iter(targets[start])}
        while path:
            name = next(reversed(path))
            step = next(path[name], None)
            if step is None:
                del path[name]
                done.add(name)
            elif step in path:
                back.add((name, step))
            elif step not in done:
                path[step] = iter(targets[step])
    return back


def _reached(targets: dict[str, list[str]], starts: list[str], without: str) -> set[str]:
    found, waiting = set(starts), list(starts)
    while waiting:
        for target in targets[waiting.pop()]:
            if target not in found and target != without:
                found.add(target)
                waiting.append(target)
    return found
