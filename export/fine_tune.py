"""Quantisation-aware fine-tuning: a float graph whose weights lose less when they are rounded.

It starts where quantising and the correction of biases end, and keeps their grid: scales, thresholds and decays stay
as they are. Forward, weights are rounded; backward, rounding counts as the identity (straight-through, Bengio et al.
2013) and a spike has the derivative of an arctangent. With the chip in the loop even the spikes of the forward pass are
the integer program's own, and only the gradient is the float network's.

Weights are learned in steps of their grid, so that one learning rate suits layers of every scale. A weight between two
steps goes from one to the other and back for as long as it learns, so what counts are running means over iterations
(Izmailov et al., "Averaging weights leads to wider optima", UAI 2018), rounded. Every few iterations they are judged on
samples held out; the best are the result, those that tuning started with included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .calibration import Calibration
from .correct_biases import correct_biases
from .errors import ExportError
from .float_run import Numbers, outputs
from .graph import Graph
from .learned import Learned, Observed, in_place
from .levels import require

FloatArray: TypeAlias = NDArray[np.float32]
#: One in so many samples is held out to judge by, and so many at most.
HELD_OUT, HELD_MOST = 8, 2048
#: Elementwise functions of the host behind an output.
FUNCTIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}
#: Share of the running mean that stays from one iteration to the next.
MEMORY = 0.98
#: Samples that biases are corrected by before tuning starts.
CORRECTED_BY = 512


#: Runs samples through an integer graph.
Chip: TypeAlias = Callable[[Graph, FloatArray], Observed]
#: Told iterations done, iterations in all, and the last error on held-out samples.
Progress: TypeAlias = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast weights are tuned.

    Attributes
    ----------
    iterations, batch : int
    lr : float
        Largest learning rate of Adam, in steps of the weight grid; it falls to nothing along half a cosine.
    judge_every : int
        Iterations between two looks at the held-out samples.
    seed : int
        Of the order of the samples.
    operations : float
        What synaptic operations cost: all that there are to begin with as much as this error, relative to the variance of
        the outputs.
    """

    iterations: int = 400
    batch: int = 64
    lr: float = 0.02
    judge_every: int = 75
    seed: int = 0
    operations: float = 0.0


class Tuned(NamedTuple):
    """A quantised graph and what it does with held-out samples.

    Attributes
    ----------
    graph : Graph
    before, after : float
        Error relative to the variance of the outputs.
    operations : float
        Synaptic operations over those that tuning started with, at the fan-outs of the start.
    """

    graph: Graph
    before: float
    after: float
    operations: float


def fine_tune(
    graph: Graph,
    samples: FloatArray,
    calibration: Calibration,
    *,
    targets: FloatArray | None = None,
    bits: int = 4,
    per_channel: bool = True,
    schedule: Schedule = Schedule(),
    chip: Chip | None = None,
    progress: Progress = lambda done, total, error: None,
) -> Tuned:
    """Tune a float graph's weights and biases for a bit width.

    Parameters
    ----------
    graph : Graph
        At the float level.
    samples : ndarray
        As for :func:`~spikewright.export.float_run.run_float`; one in eight is held out, up to 2,048.
    calibration : Calibration
        What the graph will be quantised with.
    targets : ndarray, optional
        What the only output (samples, neurons) should be, behind the host's functions; by default what the untuned graph
        says.
    chip : callable, optional
        Puts the integer program's spikes and outputs in place of the float ones in the forward pass.

    Raises
    ------
    ExportError
        Too few samples, or targets that do not fit the output.
    """
    require(graph, "float")
    held = held_out(len(samples))
    if not held:
        raise ExportError(f"fine-tuning: {len(samples)} samples are too few; give at least {HELD_OUT}")
    wanted = _targets(graph, samples, targets, schedule.batch)
    spread = {name: max(float(y.var()), 1e-12) for name, y in wanted.items()}
    learned_from = np.arange(held, len(samples))

    numbers = Learned(graph, calibration, bits, per_channel)
    correct_biases(numbers, samples[held : held + CORRECTED_BY])

    def run(chosen: slice | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Error and synaptic operations a sample."""
        seen = None if chip is None else chip(numbers.quantised(), samples[chosen])
        numbers.begin(seen)
        said = outputs(graph, samples[chosen], numbers)
        if seen is not None:
            said = {name: in_place(y, seen.outputs[name]) for name, y in said.items()}
        said = _on_host(graph, said)
        errors = [((y - wanted[name][chosen]) ** 2).mean() / spread[name] for name, y in said.items()]
        return torch.stack(errors).sum(), numbers.operations / len(next(iter(said.values())))

    def judge() -> tuple[float, float]:
        """Those of the samples held out."""
        with torch.no_grad():
            parts = [slice(a, min(a + schedule.batch, held)) for a in range(0, held, schedule.batch)]
            found = [(run(part), part.stop - part.start) for part in parts]
        error, operations = (sum(float(of[i]) * count for of, count in found) / held for i in (0, 1))
        return error, operations

    before, spent = judge()
    # An operation's price in units of the error.
    price = schedule.operations / max(spent, 1.0)
    best, kept = numbers.quantised(), (before, spent)
    least, last = before + price * spent, before
    adam = torch.optim.Adam(numbers.parameters(), schedule.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, schedule.iterations)
    order = np.random.default_rng(schedule.seed)
    means = [learned.detach().clone() for learned in numbers.parameters()]
    for done in range(1, schedule.iterations + 1):
        chosen = order.choice(learned_from, min(schedule.batch, len(learned_from)), replace=False)
        adam.zero_grad()
        error, operations = run(chosen)
        (error + price * operations).backward()  # type: ignore[no-untyped-call]
        adam.step()
        falling.step()
        for mean, learned in zip(means, numbers.parameters(), strict=True):
            mean.lerp_(learned.detach(), 1 - MEMORY)
        if done % schedule.judge_every == 0 or done == schedule.iterations:
            with numbers.at(means):
                judged = judge()
                last = judged[0]
                if last + price * judged[1] < least:
                    best, kept, least = numbers.quantised(), judged, last + price * judged[1]
        progress(done, schedule.iterations, last)
    return Tuned(best, before, kept[0], kept[1] / max(spent, 1.0))


def held_out(samples: int) -> int:
    """How many samples, the first ones, are held out to judge by."""
    return min(samples // HELD_OUT, HELD_MOST)


def shown_again(images: int, samples: int) -> NDArray[np.int64]:
    """Which of a few images to show in each of many samples that differ by noise.

    Images held out are not among those that weights learn from.

    Parameters
    ----------
    images, samples : int
        With no more samples asked for than there are images, each is shown once.
    """
    if samples <= images or not images // HELD_OUT:
        return np.arange(images)
    judged, apart = held_out(samples), images // HELD_OUT
    return np.concatenate([np.arange(judged) % apart, apart + np.arange(samples - judged) % (images - apart)])


def _targets(graph: Graph, samples: FloatArray, targets: FloatArray | None, batch: int) -> dict[str, Tensor]:
    """What the outputs should be."""
    with torch.no_grad():
        if targets is None:
            parts = [
                _on_host(graph, outputs(graph, samples[a : a + batch], Numbers()))
                for a in range(0, len(samples), batch)
            ]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        own = {name: y.shape[1] for name, y in outputs(graph, samples[:1], Numbers()).items()}
    if len(own) > 1 or targets.shape != (len(samples), *own.values()):
        shapes = ", ".join(f"{name} ({len(samples)}, {n})" for name, n in own.items())
        raise ExportError(f"fine-tuning: targets of shape {targets.shape}; the outputs are {shapes}")
    return {name: torch.from_numpy(targets).float() for name in own}


def _on_host(graph: Graph, said: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs behind the elementwise functions that the host applies."""
    for step in graph.host_steps:
        if step.kind in FUNCTIONS and step.node in said:
            said = {**said, step.node: FUNCTIONS[step.kind](said[step.node])}
    return said
