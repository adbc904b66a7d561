"""Programs on disk: one ``.npz`` with a JSON header, no pickle, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..export.linear import Conv2d, Conv3d, ConvTranspose2d, Dense, LinearMap, Sparse
from ..export.whole_file import whole_file
from .program import Population, Program, ProgramError, SpikeSource, SynapseGroup, validate

FORMAT = "spikewright-program"
VERSION = 2
#: Versions of programs with graded relays and of streamed ones, which earlier releases cannot run; all others are written
#: as before.
GRADED_VERSION, STREAMED_VERSION = 3, 4
MAPS: dict[str, type[LinearMap]] = {
    "dense": Dense, "conv2d": Conv2d, "conv3d": Conv3d, "conv_transpose2d": ConvTranspose2d, "sparse": Sparse
}  # fmt: skip
MAP_ARRAYS = ("weight", "columns", "row_pointer")
_POPULATION_ARRAYS = (
    "current_decay",
    "membrane_decay",
    "threshold",
    "bias_mantissa",
    "bias_exponent",
    "scale",
)
#: What the header of a population of plain spikes leaves out.
_OF_SPIKES = (*_POPULATION_ARRAYS, "payload_bits", "payload_shift")


def save_program(program: Program, path: Path) -> None:
    """Write a program."""
    arrays: dict[str, Any] = {f"host/{name}": array for name, array in program.host_arrays.items()}
    for p in program.populations:
        arrays |= {f"population/{p.name}/{key}": getattr(p, key) for key in _POPULATION_ARRAYS}
    for g in program.synapses:
        arrays |= {f"{key}/{g.name}": array for key, array in map_arrays(g.map).items()}
    header = {
        "format": FORMAT,
        "version": _version(program),
        "name": program.name,
        "timesteps": program.timesteps,
        "period": program.period,
        "sources": [_plain(s, ()) for s in program.sources],
        "populations": [
            _plain(p, _POPULATION_ARRAYS if p.graded else _OF_SPIKES) for p in program.populations
        ],
        "synapses": [{**_plain(g, ("map",)), "map": map_header(g.map)} for g in program.synapses],
        "host": program.host,
        **({"streamed": True} if program.streamed else {}),
    }
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays)


def _version(program: Program) -> int:
    if program.streamed:
        return STREAMED_VERSION
    return GRADED_VERSION if any(p.graded for p in program.populations) else VERSION


def load_program(path: Path) -> Program:
    """Read a program and validate it.

    Raises
    ------
    ProgramError
        The file is missing, damaged, of another format or version, or holds an invalid program.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {key: file[key] for key in file.files if key != "header"}
    except FileNotFoundError:
        parts = sorted(str(found.parent) for found in path.parent.glob(f"*/{path.name}"))
        remedy = f"name one of {', '.join(parts)}" if parts else "`spikewright export` writes one"
        raise ProgramError(f"{path}: no such program; {remedy}") from None
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise ProgramError(f"{path}: not a readable program ({error}); export it again") from None
    kind, version = (
        (header.get("format"), header.get("version")) if isinstance(header, dict) else (None, None)
    )
    if kind != FORMAT or version not in (VERSION, GRADED_VERSION, STREAMED_VERSION):
        wanted = f"{FORMAT} version {VERSION} to {STREAMED_VERSION}"
        raise ProgramError(f"{path}: {kind} version {version}, this release reads {wanted}; export it again")
    try:
        program = _build(header, arrays)
        validate(program)
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProgramError(f"{path}: incomplete program ({error!r}); export it again") from None
    return program


def _build(header: dict[str, Any], arrays: dict[str, Any]) -> Program:
    populations = tuple(
        Population(
            **{**entry, "shape": tuple(entry["shape"])},
            **{key: arrays[f"population/{entry['name']}/{key}"] for key in _POPULATION_ARRAYS},
        )
        for entry in header["populations"]
    )
    synapses = tuple(
        SynapseGroup(**{**entry, "map": map_from_header(entry["map"], _own(arrays, entry["name"]))})
        for entry in header["synapses"]
    )
    return Program(
        name=header["name"],
        timesteps=header["timesteps"],
        period=header["period"],
        sources=tuple(SpikeSource(**{**s, "shape": tuple(s["shape"])}) for s in header["sources"]),
        populations=populations,
        synapses=synapses,
        host=header["host"],
        host_arrays={key.removeprefix("host/"): a for key, a in arrays.items() if key.startswith("host/")},
        streamed=header.get("streamed", False),
    )


def _plain(item: SpikeSource | Population | SynapseGroup, leave: tuple[str, ...]) -> dict[str, Any]:
    return {f.name: getattr(item, f.name) for f in fields(item) if f.name not in leave}


def _own(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        key: arrays[f"{key}/{name}"] for key in MAP_ARRAYS if key == "weight" or f"{key}/{name}" in arrays
    }


def map_header(map_: LinearMap) -> dict[str, Any]:
    """Everything about a map but its arrays, as JSON-able settings."""
    kind = next(name for name, cls in MAPS.items() if isinstance(map_, cls))
    return {"kind": kind, **{f.name: getattr(map_, f.name) for f in fields(map_) if f.name not in MAP_ARRAYS}}


def map_arrays(map_: LinearMap) -> dict[str, Any]:
    """The arrays of a map: its weights, and where sparse ones lie."""
    return {key: getattr(map_, key) for key in MAP_ARRAYS if hasattr(map_, key)}


def map_from_header(header: dict[str, Any], arrays: dict[str, Any]) -> LinearMap:
    """The map of a header and its arrays."""
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in header.items() if k != "kind"
    }
    return MAPS[header["kind"]](**arrays, **settings)
