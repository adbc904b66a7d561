"""Opening a session: the registry of backends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ..emulator import refuse_early
from ..errors import SessionError
from ..program import Program, validate
from .backend import Backend, Options
from .on_lava import OnLava, OnLoihi2
from .recomputed import on_emulator, on_reference
from .session import Session

#: How to start each backend.
BACKENDS: dict[str, Callable[[Program, Options], Backend]] = {
    "emulator": on_emulator,
    "reference": on_reference,
    "lava": OnLava,
    "loihi2": OnLoihi2,
}
#: Those that run elsewhere, and have a time limit.
TIMED = ("lava", "loihi2")


def open_session(
    program: Program,
    backend: str = "emulator",
    record: Collection[str] | None = None,
    states: Collection[str] = (),
    threads: int | None = None,
    time_limit: float | None = None,
) -> Session:
    """Start a backend and put a program on it.

    Parameters
    ----------
    program : Program
        A valid program that keeps its samples apart.
    backend : str
        ``emulator``, ``reference``, ``lava``, ``loihi2`` (a chip, by Lava's hardware configuration), or what else is in
        :data:`BACKENDS`.
    record : collection of str, optional
        Populations that may be read: by default read-outs, and those that nothing follows.
    states : collection of str
        Populations whose currents and membranes after each step may be read; they are recorded too.
    threads : int, optional
        Of the emulator.
    time_limit : float, optional
        Seconds that opening Lava, or any call that steps it, may take; 600 by default.

    Raises
    ------
    ProgramError
        The program is not valid, or mixes samples.
    SessionError
        A streamed program, a wrong option, or a backend that is missing or cannot run the program.
    """
    began = time.perf_counter()
    if backend not in BACKENDS:
        raise SessionError(f"backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    if threads is not None and backend != "emulator":
        raise SessionError(f"threads is {threads}: {backend} has none to set; only the emulator has")
    if time_limit is not None and backend not in TIMED:
        raise SessionError(
            f"time_limit is {time_limit}: {backend} runs in this process; only {' and '.join(TIMED)} have one"
        )
    if time_limit is not None and not time_limit > 0:
        raise SessionError(f"time_limit is {time_limit}; take seconds above zero")
    validate(program)
    refuse_early(program)
    if program.streamed:
        raise SessionError(
            f"program {program.name!r}: takes the frames of a stream; open it with open_stream"
        )
    if not any(p.host_bias for p in program.populations) and all(s.constant for s in program.sources):
        raise SessionError(
            f"program {program.name!r}: takes nothing from the host; it needs a source or a host bias"
        )
    if record is None:
        record = [p.name for p in program.populations if p.readout or not program.outputs_of(p.name)]
        record.append(program.populations[-1].name)
    wanted = {*_names(program, "record", record), *_names(program, "states", states)}
    if not wanted:
        raise SessionError("record is empty; name at least one population to read")
    ordered = [p.name for p in program.populations if p.name in wanted]
    kept = tuple(name for name in ordered if name in states)
    options = Options(tuple(ordered), kept, threads, time_limit)
    return Session(program, BACKENDS[backend](program, options), options, began)


def _names(program: Program, option: str, names: Collection[str]) -> Collection[str]:
    if isinstance(names, str):
        raise SessionError(f"{option} is {names!r}, one string; hand a list of names")
    there = [p.name for p in program.populations]
    for name in names:
        if name not in there:
            raise SessionError(f"{option}: no population is named {name!r}; there is {', '.join(there)}")
    return names
