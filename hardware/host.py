"""The host's part: encode samples, draw latents, decode read-outs.

Random numbers come from a counter-based generator keyed by (seed, stream), so that every backend consumes the same bits
whatever the order or number of samples it runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from ..export.formats import BIAS_MAX, split_bias
from ..export.linear import LinearMap, dense_operations, expand_channels
from ..export.unroll import unroll
from .program import Inputs, Program, ProgramError
from .program_io import MAP_ARRAYS, map_from_header
from .recording import Recording

Floats = NDArray[np.float32]
FUNCTIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "tanh": np.tanh,
    "sigmoid": expit,
}


def encode(program: Program, samples: Floats) -> tuple[Inputs, int]:
    """What the host writes for a batch of samples.

    Parameters
    ----------
    samples : ndarray
        Direct coding: (samples, ...) real values, turned into static currents. Spike coding: (samples, timesteps, ...)
        zeros and ones.

    Returns
    -------
    inputs : Inputs
    clipped : int
        Currents beyond the largest bias, which were clipped to it.

    Raises
    ------
    ProgramError
        Samples of another shape, or not finite.
    """
    if not np.isfinite(samples).all():
        raise ProgramError("the samples hold NaN or infinite values; check the loader")
    if not program.host.get("encoders"):
        fed = [source for source in program.sources if not source.constant]
        if len(fed) != 1:
            raise ProgramError(f"{program.name}: has {len(fed)} spike sources, samples have one place to go")
        source = fed[0]
        wanted = (program.timesteps, *source.shape)
        if samples.shape[1:] != wanted:
            raise ProgramError(
                f"samples of shape {samples.shape[1:]}, {source.name} takes spikes of shape {wanted}"
            )
        with np.errstate(invalid="ignore"):  # what no byte holds is compared and refused
            spikes = samples.astype(np.uint8)
        if not (spikes == samples).all() or spikes.max(initial=0) > source.peak:
            values = "0 or 1" if source.peak == 1 else f"whole numbers up to {source.peak}"
            raise ProgramError(f"{source.name} takes spikes, {values}")
        return Inputs({source.name: spikes.reshape(len(samples), program.timesteps, source.size)}), 0
    currents: dict[str, NDArray[np.float64]] = {}
    for encoder in program.host["encoders"]:
        map_ = encoder_map(program, encoder)
        wanted = tuple(encoder["sample"])
        if samples.shape[1:] != wanted:
            raise ProgramError(f"samples of shape {samples.shape[1:]}, {encoder['name']} takes {wanted}")
        x = torch.from_numpy(np.ascontiguousarray(samples, np.float32)).flatten(1)
        bias: Floats = expand_channels(program.host_arrays[f"{encoder['name']}.bias"], map_.output_shape)
        current = map_.forward(x, torch.from_numpy(map_.weight)).numpy().astype(np.float64) + bias
        name = encoder["population"]
        currents[name] = currents.get(name, np.zeros(1)) + current
    biases, clipped = {}, 0
    for name, current in currents.items():
        value = np.rint(current * program.population(name).scale).astype(np.int64)
        clipped += int((np.abs(value) > BIAS_MAX).sum())
        biases[name] = split_bias(np.clip(value, -BIAS_MAX, BIAS_MAX))
    return Inputs(biases=biases), clipped


def decode(program: Program, recording: Recording) -> NDArray[np.float32]:
    """Results in float units: read-out membranes through their scale and the host's functions, or spike counts.

    Returns
    -------
    ndarray
        (samples, *shape of the last population).
    """
    last = program.populations[-1]
    if not last.readout:
        return recording.counts[last.name].reshape(-1, *last.shape).astype(np.float32)
    values = apply_functions(program, last.name, recording.readouts[last.name] / last.scale)
    return values.reshape(-1, *last.shape).astype(np.float32)


def apply_functions(program: Program, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The host's elementwise functions of a read-out, in float units."""
    for step in program.host.get("steps", []):
        if step["node"] == name and step["kind"] in FUNCTIONS:
            values = FUNCTIONS[step["kind"]](values)
    return values


def uniform(seed: int, stream: int, count: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers in [0, 1): sample k is always the same, however many are drawn.

    Parameters
    ----------
    stream : int
        Keeps draws for different purposes apart.
    """
    return np.stack([_generator(seed, stream, k).random(shape) for k in range(count)])


def normal(seed: int, stream: int, count: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard normal numbers, sample by sample as :func:`uniform`."""
    return np.stack([_generator(seed, stream, k).standard_normal(shape) for k in range(count)])


def _generator(seed: int, stream: int, sample: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, stream, sample]))


PRIOR_STREAM, SPIKE_STREAM = 0, 1


def bernoulli(rates: NDArray[np.float64], timesteps: int, seed: int) -> NDArray[np.uint8]:
    """Spike trains (samples, timesteps, d) of constant rates (samples, d)."""
    noise = uniform(seed, SPIKE_STREAM, len(rates), (timesteps, rates.shape[1]))
    return (noise < rates[:, None]).astype(np.uint8)


def prior_spikes(program: Program, count: int, seed: int) -> NDArray[np.uint8]:
    """Latent spikes (count, timesteps, d) from the learned prior: ``sigmoid(W n + b)``, then a Bernoulli draw a step.

    Raises
    ------
    ProgramError
        The program has no rate prior.
    """
    for index, step in enumerate(program.host.get("steps", [])):
        if step["kind"] == "rate_prior":
            weight = program.host_arrays[f"step{index}.weight"].astype(np.float64)
            bias = program.host_arrays[f"step{index}.bias"].astype(np.float64)
            noise = normal(seed, PRIOR_STREAM, count, (weight.shape[1],))
            return bernoulli(FUNCTIONS["sigmoid"](noise @ weight.T + bias), program.timesteps, seed)
    raise ProgramError(f"{program.name}: has no prior to generate from")


def operations(program: Program) -> int:
    """Multiply-accumulates that the host computes for a sample: its encoders, borders excluded.

    An encoder that only hands values on, as the currents of a diffusion's time are to all pixels, multiplies nothing.
    """
    maps = [encoder_map(program, encoder) for encoder in program.host.get("encoders", [])]
    return sum(dense_operations(map_) for map_ in maps if not _copies(map_))


def _copies(map_: LinearMap) -> bool:
    """Whether every output of a map is one of its inputs, or nothing."""
    return bool((map_.weight == 1).all()) and int(unroll(map_).getnnz(1).max(initial=0)) <= 1


def encoder_map(program: Program, encoder: dict[str, Any]) -> LinearMap:
    """The float map of an encoder."""
    keys = {key: f"{encoder['name']}.{key}" for key in MAP_ARRAYS}
    arrays = {key: program.host_arrays[full] for key, full in keys.items() if full in program.host_arrays}
    return map_from_header(encoder["map"], arrays)
