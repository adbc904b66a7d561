"""What a program's own choices cost, and what they ask of a chip: notes and warnings beside the limits of cores."""

from __future__ import annotations

from collections.abc import Iterable

from ..export.levels import Finding
from ..export.linear import fan_out
from .chip import Chip
from .overflow import findings, prove
from .program import Program, SynapseGroup
from .relays import balance_cost

#: Factor of two between the parts of a 15-bit weight.
PARTS_APART = 7


def overflow(program: Program, chip: Chip) -> list[Finding]:
    """Whether currents may wrap or membranes saturate, whatever spikes arrive."""
    return findings(prove(program))


def reset_kind(program: Program, chip: Chip) -> list[Finding]:
    """Neurons that reset by subtraction."""
    names = [p.name for p in program.populations if p.reset != "zero"]
    if not names:
        return []
    detail = f"{len(names)} populations reset by subtraction, which no published neuron of {chip.title} does"
    return [
        Finding("warning", names[0], "reset", detail, "train with reset to zero, or write microcode for it")
    ]


def loops(program: Program, chip: Chip) -> list[Finding]:
    """A network with loops runs sample by sample; frames of a stream are joined on purpose."""
    if program.streamed:
        return []
    late = [g for g in program.synapses if g.lag > 0]
    if not late:
        return []
    steps = "1 step" if late[0].lag == 1 else f"{late[0].lag} steps"
    detail = f"spikes over {late[0].name} arrive {steps} late, at the end of a sample in the next one"
    return [
        Finding("note", late[0].target, "loop", detail, "the host clears states and spikes between samples")
    ]


def balance(program: Program, chip: Chip) -> list[Finding]:
    """What lining branches up costs."""
    cost = balance_cost(program)
    if not cost.longest_delay and not cost.relay_neurons:
        return []
    detail = (
        f"branches wait up to {cost.longest_delay} steps on {cost.delayed_synapses:,} synapses and pass "
        f"{cost.relay_neurons:,} relay neurons with {cost.relay_synapses:,} synapses; the last population starts "
        f"{cost.depth} steps after the input"
    )
    return [Finding("note", program.name, "balance", detail, "shorter branches need less")]


def always_on(program: Program, chip: Chip) -> list[Finding]:
    """What bringing biases to currents costs."""
    lines = {s.name for s in program.sources if s.constant}
    count = _synapses(g for g in program.synapses if g.source in lines)
    if not count:
        return []
    detail = (
        f"{count:,} synapses of an always-on line bring the biases of current-based neurons, at every step"
    )
    return [Finding("note", program.name, "always-on line", detail, "layers without bias need none")]


def wide_weights(program: Program, chip: Chip) -> list[Finding]:
    """What weights of fifteen bits cost."""
    parts: dict[tuple[str, str, int], list[SynapseGroup]] = {}
    for g in program.synapses:
        parts.setdefault((g.source, g.target, g.lag), []).append(g)
    low = [
        a
        for groups in parts.values()
        for a in groups
        if any(
            b.exponent - a.exponent == PARTS_APART and b.map.weight.shape == a.map.weight.shape
            for b in groups
        )
        and a.source not in {s.name for s in program.sources if s.constant}
    ]
    if not low:
        return []
    names = ", ".join(sorted({g.target for g in low})[:4])
    detail = f"{_synapses(low):,} synapses carry the low half of 15-bit weights into {names}"
    return [Finding("note", low[0].target, "wide weights", detail, "8-bit weights need none of them")]


def _synapses(groups: Iterable[SynapseGroup]) -> int:
    return sum(int(fan_out(g.map).sum()) for g in groups)


CHOICES = (overflow, reset_kind, loops, balance, always_on, wide_weights)
