"""From a torch module to the traced graph, through ``torch.fx`` with snnTorch neurons as leaves.

The module computes one time step. snnTorch's own exporter crashes on batch normalisation and transposed
convolutions and drops the reset kind without a word; here whatever cannot be carried over is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import snntorch as snn
import torch
from torch import Tensor, fx, nn

from .errors import ExportError
from .graph import Graph
from .trace_build import SHAPE, GraphBuilder
from .trace_uses import TUPLE


class _Tracer(fx.Tracer):
    """Treats snnTorch neurons, and modules that declare what they are, as leaves."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.traced_func_name = method

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Leaves: neurons, declared host steps, temporal convolutions and products, torch's own layers."""
        return (
            isinstance(m, snn.SpikingNeuron)
            or hasattr(m, "spikewright_host_step")
            or hasattr(m, "spikewright_time_axis")
            or hasattr(m, "spikewright_product")
            or super().is_leaf_module(m, module_qualified_name)
        )


class _ShapeRun(fx.Interpreter):
    """Runs the traced step once and notes the shape of every value."""

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The sample, then states; what the caller leaves out starts at its default or not at all."""
        return next(self.args_iter, args[0] if args else None)

    def run_node(self, n: fx.Node) -> Any:
        """One value; the message of an error names its node."""
        try:
            result = super().run_node(n)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            where = n.target if n.op == "call_module" else n.name
            raise ExportError(f"does not pass {where} ({_first_line(error)})") from error
        n.meta[TUPLE] = isinstance(result, tuple | list) and any(isinstance(r, Tensor) for r in result)
        first = result[0] if n.meta[TUPLE] else result
        if isinstance(first, Tensor):
            n.meta[SHAPE] = tuple(int(side) for side in first.shape)
        return result


def trace(
    module: nn.Module,
    sample: Tensor,
    *,
    timesteps: int,
    coding: Literal["direct", "spikes"],
    name: str = "network",
    method: str = "forward",
    states: Sequence[Tensor] | None = None,
) -> Graph:
    """Trace one time step of a network of snnTorch neurons.

    The module is left as it was: training flags and hidden states included.

    Parameters
    ----------
    module : nn.Module
        Its ``method`` takes one input (N, ...) and computes one time step; neurons keep their own state
        (``init_hidden=True``) or take and return it.
    sample : Tensor
        One input without batch axis.
    timesteps : int
        Steps of a sample.
    coding : str
        ``direct``: the same real values at every step; ``spikes``: 0/1 at each step.
    states : sequence of Tensor, optional
        What the step takes beside the sample at the first step, with a batch axis: the spikes of the step before, which
        it returns in the same order behind its output. By default what the module's ``initial(batch)`` gives.

    Returns
    -------
    Graph
        Level *traced*: see :mod:`spikewright.export.levels`.

    Raises
    ------
    ExportError
        A module, function or neuron setting that has no counterpart; the message names it and the remedy.
    """
    if timesteps < 1:
        raise ExportError(f"{name}: timesteps is {timesteps}; a sample takes at least one step")
    if coding not in ("direct", "spikes"):
        raise ExportError(f"{name}: coding is {coding!r}; state 'direct' or 'spikes'")
    _check_finite(module, name)
    with untouched(module):
        module.eval()
        try:
            traced = _Tracer(method).trace(module)
        except Exception as error:
            # The caller's own code runs here, on stand-ins for tensors: anything may come back.
            raise ExportError(
                f"{name}: `{method}` cannot be traced ({_first_line(error)}); "
                "it must compute one time step without branching on values"
            ) from error
        reset_states(module)
        run = _ShapeRun(fx.GraphModule(module, traced))
        run.extra_traceback = False
        try:
            with torch.no_grad():
                run.run(
                    torch.stack([sample, sample]), *first_states(module, 2, states)
                )  # two: mixed batches show
        except ExportError as error:
            raise ExportError(f"{name}: a sample of shape {tuple(sample.shape)} {error}") from error.__cause__
        return GraphBuilder(module, name, coding, timesteps).build(traced)


def first_states(module: nn.Module, batch: int, states: Sequence[Tensor] | None = None) -> list[Tensor]:
    """States of the first step for a batch: those given, or what the module's ``initial`` makes."""
    if states is None:
        initial = getattr(module, "initial", None)
        made = initial(batch) if callable(initial) else ()
        return list(made) if isinstance(made, tuple | list) else [made]
    return [state[:1].expand(batch, *state.shape[1:]).clone() for state in states]


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Put training flags, hidden states (they are buffers) and all other attributes back in the end."""
    tables = ("_buffers", "_parameters")
    before = [
        (child, dict(child.__dict__), {table: dict(getattr(child, table)) for table in tables})
        for child in module.modules()
    ]
    try:
        yield
    finally:
        for child, attributes, registered in before:
            child.__dict__.clear()
            child.__dict__.update(attributes)
            for table, entries in registered.items():
                getattr(child, table).clear()
                getattr(child, table).update(entries)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def reset_states(module: nn.Module) -> None:
    """Forget the hidden state of every neuron."""
    for child in module.modules():
        reset = getattr(child, "reset_mem", None)
        if callable(reset):
            reset()


def _check_finite(module: nn.Module, name: str) -> None:
    for key, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise ExportError(f"{name}: {key} holds {bad} NaN or infinite values; the training run diverged")
