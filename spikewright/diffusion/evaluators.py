"""What computes logits and images while the host samples: a chip behind a session, or the float networks.

Host code sees no difference: both take grids of tokens and hand back floats.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import BuildError
from ..export.float_run import run_float
from ..generating.counters import Counters, added, below, under
from ..generating.tally import Tally
from ..hardware import host, tokens
from ..hardware.program import Inputs, Program
from ..hardware.recording import Recording
from ..hardware.session import TIMED, Exchange, Session, open_session
from ..lowering import Lowered
from .system import System

Backend: TypeAlias = Literal["emulator", "lava", "loihi2", "reference", "float"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
Grids: TypeAlias = NDArray[np.int64]
Images: TypeAlias = NDArray[np.float32]


class Evaluator(Protocol):
    """Computes what the host asks for."""

    def logits(self, grids: Grids, due: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Logits (N, K, h, w) of grids (N, h, w), the number of codes where hidden.

        Where only the positions ``due`` (N, h, w) are asked for, the others may be zero.
        """
        ...

    def images(self, grids: Grids) -> Images:
        """Images (N, C, H, W) in [-1, 1] of whole grids (N, h, w)."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class FloatEvaluator:
    """The float networks, from their NIR files."""

    def __init__(self, system: System) -> None:
        self.system = system

    def logits(self, grids: Grids, due: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """As :class:`Evaluator`."""
        denoiser = self.system.denoiser
        program = denoiser.program
        source = next(s for s in program.sources if not s.constant)
        spikes = tokens.one_hot(program, grids).spikes[source.name]
        samples = spikes.reshape(*spikes.shape[:2], *source.shape).astype(np.float32)
        return self._readout(denoiser, samples) / program.timesteps

    def images(self, grids: Grids) -> Images:
        """As :class:`Evaluator`."""
        decoder = self.system.decoder
        values = self._readout(decoder, tokens.look_up(decoder.program, grids))
        name = decoder.program.populations[-1].name
        return host.apply_functions(decoder.program, name, values).astype(np.float32)

    def close(self) -> None:
        """Nothing is held."""

    def _readout(self, part: Lowered, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        last = part.program.populations[-1]
        return (
            run_float(part.float_graph, samples)
            .readouts[last.name]
            .astype(np.float64)
            .reshape(-1, *last.shape)
        )


class ChipEvaluator:
    """Denoiser and decoder on a backend, each in a session that stays open; also counts what they do.

    Attributes
    ----------
    denoiser, decoder : Session
    tallies : dict of str to Tally
        By part.
    last : dict of str to ndarray
        What :meth:`Tally.add` found in the latest evaluation.
    clipped : int
        Currents of code vectors beyond the largest bias.
    """

    def __init__(self, system: System, backend: Backend, time_limit: float | None = None) -> None:
        self.system = system
        options: dict[str, Any] = {"time_limit": time_limit} if backend in TIMED else {}
        programs = {"denoiser": system.denoiser.program, "decoder": system.decoder.program}

        def start(program: Program) -> Session:
            return open_session(program, backend, record=[p.name for p in program.populations], **options)

        self.denoiser = start(programs["denoiser"])
        try:
            self.decoder = start(programs["decoder"])
        except BaseException:
            self.denoiser.close()
            raise
        self.tallies = {name: Tally(program) for name, program in programs.items()}
        self.last: dict[str, NDArray[np.int64]] = {}
        self.clipped = 0
        self._earlier = {name: Exchange() for name in programs}

    def logits(self, grids: Grids, due: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """As :class:`Evaluator`; membranes of other positions do not leave the chip."""
        program = self.system.denoiser.program
        last = program.populations[-1]
        only = None
        if due is not None:
            wanted = np.broadcast_to(due[:, None], (len(due), *last.shape))
            only = {last.name: wanted.reshape(len(due), -1)}
        recording = self._run("denoiser", self.denoiser, tokens.one_hot(program, grids), only)
        summed = recording.readouts[last.name] / last.scale
        return summed.reshape(-1, *last.shape) / program.timesteps

    def images(self, grids: Grids) -> Images:
        """As :class:`Evaluator`."""
        program = self.system.decoder.program
        inputs, clipped = host.encode(program, tokens.look_up(program, grids))
        self.clipped += clipped
        return host.decode(program, self._run("decoder", self.decoder, inputs))

    @property
    def exchanges(self) -> dict[str, Exchange]:
        """What crossed the border of each session, with what was counted elsewhere."""
        sessions = {"denoiser": self.denoiser, "decoder": self.decoder}
        return {name: added(s.exchange, vars(self._earlier[name])) for name, s in sessions.items()}

    def counters(self) -> Counters:
        """As :class:`~spikewright.generating.counters.Counting`."""
        found: Counters = {"clipped": np.asarray(self.clipped)}
        for name, exchange in self.exchanges.items():
            found |= under(f"{name}/tally", self.tallies[name].counters())
            found |= under(f"{name}/exchange", vars(exchange))
        return found

    def count_also(self, counters: Counters) -> None:
        """As :class:`~spikewright.generating.counters.Counting`."""
        self.clipped += int(counters["clipped"])
        for name, tally in self.tallies.items():
            tally.count_also(below(f"{name}/tally", counters))
            self._earlier[name] = added(self._earlier[name], below(f"{name}/exchange", counters))

    def close(self) -> None:
        """End both sessions."""
        try:
            self.denoiser.close()
        finally:
            self.decoder.close()

    def _run(
        self, part: str, session: Session, inputs: Inputs, only: dict[str, NDArray[np.bool_]] | None = None
    ) -> Recording:
        session.write(inputs)
        session.step()
        recording = session.read([session.program.populations[-1].name], only=only)
        probed = session.read(probe=True)
        self.last = self.tallies[part].add(inputs, probed)
        return recording


def open_evaluator(
    system: System, backend: str, time_limit: float | None = None
) -> FloatEvaluator | ChipEvaluator:
    """The evaluator of a backend.

    Raises
    ------
    BuildError
        No such backend.
    SessionError
        It cannot run the programs, or is missing.
    """
    if backend == "float":
        return FloatEvaluator(system)
    if backend not in BACKENDS:
        raise BuildError(f"backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    return ChipEvaluator(system, backend, time_limit)  # type: ignore[arg-type]
