"""What is measured apart from the rows: kernel rates, growth, memory."""

from __future__ import annotations

from collections.abc import Mapping

from . import memory, scaling
from .case import Case
from .kernels import convolution_rate, event_rate, matrix_rates
from .targets import Extra

#: Whose convolutions the dense kernels are rated on, and whose spikes the event-driven one.
DENSE_NETWORK, EVENT_NETWORK = "esvae", "cnn"


def measure_extras(cases: Mapping[str, Case], repeats: int) -> Extra:
    """Measure them; a kernel whose network is not in the run is left out.

    Parameters
    ----------
    cases : mapping
        By network: the case to rate kernels on.
    """
    dense, event = cases.get(DENSE_NETWORK), cases.get(EVENT_NETWORK)
    return Extra(
        matrix=matrix_rates(),
        dense=None if dense is None else _best_dense(dense),
        chosen=None if dense is None else convolution_rate(dense.program, dense.inputs, None),
        event=None if event is None else event_rate(event.program, event.inputs),
        fits=scaling.measure(repeats),
        memory=memory.peak_memory(),
        images=memory.IMAGES,
    )


def _best_dense(case: Case) -> float | None:
    """The rate of the faster dense kernel; one that this machine cannot run falls back to the other."""
    rates = [convolution_rate(case.program, case.inputs, kernel) for kernel in ("int8", "float32")]
    return max((rate for rate in rates if rate is not None), default=None)
