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

Outcome: TypeAlias = Literal["compared", "unchanged", "not runnable", "first"]
MODULE, GIVEN, FILE, PROGRAM = "snnTorch module", "graph as given", "float NIR file", "integer program"


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
        only a later pass lowers; ``first``, where there is nothing before it to compare with.
    report : Report or None
        The comparison.
    """

    name: str
    against: str
    outcome: Outcome
    report: Report | None = None


def after_each_pass(
    graph: Graph,
    samples: NDArray[np.float32],
    *,
    module: nn.Module | None = None,
    method: str = "forward",
    coding: str = "direct",
    passes: Sequence[Pass] = TO_FLOAT,
    written: Graph | None = None,
    program: Program | None = None,
) -> list[Stage]:
    """Run samples through every level that can run, and compare each with the one before.

    The first to run is the module itself, or without one the graph if it can. A graph can run once it is legal at the float level, so the first passes of a
    list are judged together with the one that makes it so.

    Parameters
    ----------
    graph : Graph
        Traced from a module, or at the float level already.
    module : nn.Module, optional
        What it was traced from.
    method, coding : str
        How it was traced.
    passes : sequence of Pass
        From the traced graph to the float level, in order.
    written : Graph, optional
        The float graph read back from its file.
    program : Program, optional
        The integer program compiled from it.
    """
    graphs = list(_lowered(graph, passes))
    before: Trace | None = None
    before_models: Models | None = None
    against = GIVEN
    if module is not None:
        # Shapes and thresholds are those of the end of the passes: a module does not say them.
        last = graphs[-1][1] if graphs else graph
        steps, against = graph.settings.timesteps, MODULE
        before = trace_module(module, samples, steps, graph=last, method=method, coding=coding, what=MODULE)
    elif _runs(graph):
        before, before_models = trace_float(graph, samples, GIVEN), GraphModels(graph, samples)
    stages: list[Stage] = []

    def step(name: str, trace: Trace, models: Models) -> None:
        nonlocal before, before_models, against
        both = None if before_models is None else (before_models, models)
        if before is None:
            stages.append(Stage(name, "", "first"))
        else:
            stages.append(Stage(name, against, "compared", diff(before, trace, both)))
        before, before_models, against = trace, models, name

    previous = graph
    for name, lowered in graphs:
        if before_models is not None and not differences(previous, lowered):
            stages.append(Stage(name, against, "unchanged"))
        elif not _runs(lowered):
            stages.append(Stage(name, "", "not runnable"))
        else:
            step(name, trace_float(lowered, samples, f"after {name}"), GraphModels(lowered, samples))
        previous = lowered
    if written is not None:
        step(FILE, trace_float(written, samples, FILE), GraphModels(written, samples))
    if program is not None:
        step(PROGRAM, trace_program(program, samples, what=PROGRAM), ProgramModels(program, samples))
    return stages


def first_change(stages: Sequence[Stage]) -> Stage | None:
    """The first step after which a spike differs from the step before."""
    return next((s for s in stages if s.report is not None and not s.report.equal), None)


def _runs(graph: Graph) -> bool:
    return not any(finding.severity == "error" for finding in check(graph, "float"))


def _lowered(graph: Graph, passes: Sequence[Pass]) -> Iterator[tuple[str, Graph]]:
    for lower in passes:
        graph = lower(graph)
        yield getattr(lower, "__name__", type(lower).__name__), graph
