"""When each population's sample begins: the longest path to it, where every synapse group takes one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .program import ProgramError


@dataclass(frozen=True)
class Link:
    """Spikes of ``source`` that reach ``target``, ``lag`` steps late in its local time."""

    name: str
    source: str
    target: str
    lag: int


def start_steps(
    name: str, fixed: Sequence[str], populations: Sequence[str], links: Sequence[Link]
) -> dict[str, int]:
    """Start step of everything; sources and populations that the host drives start at once.

    Spikes of a population that starts at s arrive one step later at the earliest, and belong to the target's local step
    that is ``lag`` later: ``start(target) >= start(source) + 1 - lag``. The least solution is the longest path.

    Parameters
    ----------
    name : str
        The network, for messages.
    fixed : sequence of str
        What starts at step 0.
    links : sequence of Link
        Targets are populations.

    Raises
    ------
    ProgramError
        A loop of k synapse groups, which takes k steps, in which the network lets spikes lag by less.
    """
    start = dict.fromkeys([*fixed, *populations], 0)
    by: dict[str, Link] = {}
    for _ in range(len(start)):
        changed = False
        for link in links:
            earliest = start[link.source] + 1 - link.lag
            if earliest > start[link.target]:
                start[link.target], by[link.target], changed = earliest, link, True
        if not changed:
            return start
    if not any(start[link.source] + 1 - link.lag > start[link.target] for link in links):
        return start
    loop = _loop(by, next(n for n in by if start[n] >= len(start)) if start else "")
    lag = sum(link.lag for link in loop)
    path = " -> ".join([loop[0].source, *(link.target for link in loop)])
    raise ProgramError(
        f"{name}: the loop {path} takes {len(loop)} steps on the chip, one a synapse group, but the network feeds "
        f"back after {lag}; let {loop[-1].name} carry the spikes of {len(loop)} steps before"
    )


def _loop(by: dict[str, Link], name: str) -> list[Link]:
    """The links of the loop that ``name`` hangs on."""
    for _ in by:  # into the loop
        name = by[name].source
    loop = [by[name]]
    while loop[0].source != name:
        loop.insert(0, by[loop[0].source])
    return loop
