"""The same samples again after each lowering step: which one first changed a spike?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ...export.graph import Graph, Pass
from ...export.levels import check
from ...export.nir_write import differences
from ...export.passes import TO_FLOAT
from ...hardware.program import Program
from .cause import Models
from .constants import GraphModels, ProgramModels
from .diff import diff
from .diff_report import Report
from .observe import trace_float, trace_module, trace_program
from .traces import Trace

Outcome: TypeAlias = Literal["compared", "unchanged", "not runnable"]
MODULE, FILE, PROGRAM = "snnTorch module", "float NIR file", "integer program"


@dataclass(frozen=True)
class Stage:
    """One lowering step.

    Attributes
    ----------
    name : str
        The pass, or the artefact that the step made.
    against : str
        The last stage before it that could be run; empty where nothing was compared.
    outcome : str
        ``compared``; ``unchanged``, when the step left the graph as it was; ``not runnable``, when nodes are left that
        only a later pass lowers.
    report : Report or None
        The comparison.
    """

    name: str
    against: str
    outcome: Outcome
    report: Report | None = None


def after_each_pass(
    module: nn.Module,
    traced: Graph,
    samples: NDArray[np.float32],
    *,
    method: str = "forward",
    coding: str = "direct",
    passes: Sequence[Pass] = TO_FLOAT,
    written: Graph | None = None,
    program: Program | None = None,
) -> list[Stage]:
    """Run samples through every level that can run, and compare each with the one before.

    The first to run is the module itself. A graph can run once it is legal at the float level, so the first passes of a
    list are judged together with the one that makes it so.

    Parameters
    ----------
    traced : Graph
        What was traced from the module.
    method, coding : str
        As it was traced.
    passes : sequence of Pass
        From the traced graph to the float level, in order.
    written : Graph, optional
        The float graph read back from its file.
    program : Program, optional
        The integer program compiled from it.
    """
    graphs = list(_lowered(traced, passes))
    last = graphs[-1][1] if graphs else traced
    timesteps = traced.settings.timesteps
    # Names, shapes and thresholds of neurons are those of the end of the passes, which know more than the module.
    before = trace_module(module, samples, timesteps, graph=last, method=method, coding=coding, what=MODULE)
    before_models: Models | None = None
    against = MODULE
    stages: list[Stage] = []

    def step(name: str, trace: Trace, models: Models) -> None:
        nonlocal before, before_models, against
        both = None if before_models is None else (before_models, models)
        stages.append(Stage(name, against, "compared", diff(before, trace, both)))
        before, before_models, against = trace, models, name

    previous = traced
    for name, graph in graphs:
        if before_models is not None and not differences(previous, graph):
            stages.append(Stage(name, against, "unchanged"))
        elif any(finding.severity == "error" for finding in check(graph, "float")):
            stages.append(Stage(name, "", "not runnable"))
        else:
            step(name, trace_float(graph, samples, f"after {name}"), GraphModels(graph, samples))
        previous = graph
    if written is not None:
        step(FILE, trace_float(written, samples, FILE), GraphModels(written, samples))
    if program is not None:
        step(PROGRAM, trace_program(program, samples, what=PROGRAM), ProgramModels(program, samples))
    return stages


def first_change(stages: Sequence[Stage]) -> Stage | None:
    """The first step after which a spike differs from the step before."""
    return next((s for s in stages if s.report is not None and not s.report.equal), None)


def _lowered(traced: Graph, passes: Sequence[Pass]) -> Iterator[tuple[str, Graph]]:
    graph = traced
    for lower in passes:
        graph = lower(graph)
        yield getattr(lower, "__name__", type(lower).__name__), graph
