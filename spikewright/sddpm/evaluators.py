"""Who tells the sampler the noise in images: a chip behind a session, or the float network."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import BuildError
from ..generating.counters import Counters, added, below, under
from ..generating.tally import Tally
from ..hardware.noise import ChipNoise
from ..hardware.program import Inputs
from ..hardware.session import TIMED, Exchange, open_session
from ..models.epsilon_prediction import predictor
from ..models.guidance import firing_threshold
from .system import System

Backend: TypeAlias = Literal["emulator", "lava", "loihi2", "reference", "float"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
Images: TypeAlias = NDArray[np.float64]


class FloatDenoiser:
    """The float network, at the system's threshold; it counts nothing."""

    def __init__(self, system: System) -> None:
        self.network, self.threshold = system.network, system.threshold
        self._predict = predictor(system.network)

    def __call__(self, images: Images, time: int | NDArray[np.int64]) -> Images:
        """Noise (N, C, H, W) in images (N, C, H, W) at an index of the diffusion, or at one each (N,)."""
        with firing_threshold(self.network, self.threshold):
            return self._predict(images, time)

    def close(self) -> None:
        """Nothing is held."""


class ChipDenoiser:
    """The program on a backend, in a session that stays open; also counts what it does.

    Attributes
    ----------
    noise : ChipNoise
        The session's host side.
    tally : Tally
        Of all evaluations.
    last : dict of str to ndarray
        What :meth:`~spikewright.generating.tally.Tally.add` found in the latest evaluation.
    """

    def __init__(self, system: System, backend: Backend, time_limit: float | None = None) -> None:
        program, tail = system.denoiser.program, system.tail
        options: dict[str, Any] = {"time_limit": time_limit} if backend in TIMED else {}
        states = [] if tail is None else [program.populations[-1].name]
        session = open_session(
            program, backend, record=[p.name for p in program.populations], states=states, **options
        )
        self.system = system
        self.noise, self.tally = ChipNoise(session, tail), Tally(program)
        self.last: dict[str, NDArray[np.int64]] = {}
        self._earlier = Exchange()

    def __call__(self, images: Images, time: int | NDArray[np.int64]) -> Images:
        """As :class:`FloatDenoiser`."""
        told = self.noise(images, time)
        # The host writes biases, never spikes, so that all spikes are the populations' own.
        self.last = self.tally.add(Inputs(), self.noise.session.read(probe=True))
        return told

    @property
    def rate(self) -> float:
        """Spikes of the network's neurons, each and a time step, over all evaluations."""
        tally, firing = self.tally, self.system.firing
        spikes = sum(int(tally.totals[p.name].sum()) for p in firing)
        return spikes / (tally.samples * tally.program.timesteps * sum(p.size for p in firing))

    @property
    def exchange(self) -> Exchange:
        """What crossed the session's border, with what was counted elsewhere."""
        return added(self.noise.session.exchange, vars(self._earlier))

    def counters(self) -> Counters:
        """As :class:`~spikewright.generating.counters.Counting`."""
        return {
            **under("tally", self.tally.counters()), **under("exchange", vars(self.exchange)),
            "clipped": np.asarray(self.noise.clipped),
        }  # fmt: skip

    def count_also(self, counters: Counters) -> None:
        """As :class:`~spikewright.generating.counters.Counting`."""
        self.tally.count_also(below("tally", counters))
        self._earlier = added(self._earlier, below("exchange", counters))
        self.noise.clipped += int(counters["clipped"])

    def close(self) -> None:
        """End the session."""
        self.noise.session.close()


def open_denoiser(
    system: System, backend: str, time_limit: float | None = None
) -> FloatDenoiser | ChipDenoiser:
    """The denoiser of a backend.

    Raises
    ------
    BuildError
        No such backend.
    SessionError
        It cannot run the program, or is missing.
    """
    if backend == "float":
        return FloatDenoiser(system)
    if backend not in BACKENDS:
        raise BuildError(f"backend is {backend!r}; choose one of {', '.join(BACKENDS)}")
    return ChipDenoiser(system, backend, time_limit)  # type: ignore[arg-type]
