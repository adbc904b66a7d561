"""Recordings on disk: a run that can be held against another one later.

One ``.npz`` with a JSON header, no pickle, written whole or not at all. By layer it holds ``spikes/NAME`` (samples,
timesteps, neurons), ``held/NAME`` (the membrane at each step before any reset; raw in an integer run), ``threshold/NAME``,
and in an integer run ``currents/NAME``, ``membranes/NAME`` (after each step) and ``scale/NAME`` (membrane units per unit of
the source network). ``samples`` are what went in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...export.whole_file import whole_file
from .traces import DiffError, LayerTrace, RawStates, Trace

FORMAT = "spikewright-recording"
VERSION = 1
KINDS = ("input", "neurons", "readout", "relay")


def save_trace(trace: Trace, path: Path, extra: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Write a run.

    Parameters
    ----------
    extra : mapping of str to ndarray, optional
        More arrays to keep beside it; a reader ignores them.
    """
    if path.suffix != ".npz":
        raise DiffError(f"{path}: recordings are written as .npz")
    if not path.parent.is_dir():
        raise DiffError(f"{path.parent}: no such folder; make it first")
    arrays: dict[str, Any] = dict(extra or {})
    if trace.samples is not None:
        arrays["samples"] = trace.samples
    for name, layer in trace.layers.items():
        arrays |= {f"{key}/{name}": array for key, array in _arrays(layer).items() if array is not None}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "who": trace.who,
        "what": trace.what,
        "arithmetic": trace.arithmetic,
        "extent": trace.extent,
        "notes": trace.notes,
        "layers": [
            {
                "name": name,
                "shape": layer.shape,
                "kind": layer.kind,
                "sources": layer.sources,
                "arrays": [key for key, array in _arrays(layer).items() if array is not None],
            }
            for name, layer in trace.layers.items()
        ],
    }
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays)


def _arrays(layer: LayerTrace) -> dict[str, NDArray[Any] | None]:
    if layer.raw is None:
        return {
            "spikes": layer.spikes,
            "held": layer.held,
            "threshold": layer.threshold,
            "readout": layer.readout,
        }
    return {"spikes": layer.spikes, **{key: _narrow(array) for key, array in vars(layer.raw).items()}}


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """States have 24 bits: four bytes hold all but currents that left their range."""
    if array.dtype != np.int64 or np.abs(array).max(initial=0) > np.iinfo(np.int32).max:
        return array
    return array.astype(np.int32)


def format_of(path: Path) -> str:
    """What kind of ``.npz`` a file says it is; empty where it does not say.

    Raises
    ------
    DiffError
        The file is missing, or no readable archive.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"])) if "header" in file.files else {}
    except FileNotFoundError:
        raise DiffError(f"{path}: no such file; `spikewright simulate --out` writes recordings") from None
    except Exception as error:
        # numpy, zipfile, zlib and json each raise their own: the boundary to foreign bytes.
        raise DiffError(f"{path}: truncated or no .npz archive ({error}); write it again") from None
    return str(header.get("format", "")) if isinstance(header, dict) else ""


def load_trace(path: Path) -> Trace:
    """Read a run.

    Raises
    ------
    DiffError
        The file is missing, truncated, no recording, of another version, or its arrays do not fit each other.
    """
    kind = format_of(path)
    if kind != FORMAT:
        raise DiffError(
            f"{path}: holds {kind or 'no header'}, a recording of `spikewright simulate --out` is wanted"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["version"] != VERSION:
                raise DiffError(
                    f"{path}: recording version {header['version']}, this release reads {VERSION}; simulate again"
                )
            layers = {
                entry["name"]: _layer(entry, tuple(header["extent"]), file) for entry in header["layers"]
            }
            samples = file["samples"] if "samples" in file.files else None
    except DiffError as error:
        raise DiffError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except Exception as error:
        # As above: a truncated member shows only when it is unpacked.
        raise DiffError(f"{path}: incomplete recording ({error!r}); simulate again") from None
    if header["arithmetic"] not in ("float", "integer"):
        raise DiffError(f"{path}: arithmetic is {header['arithmetic']!r}; simulate again")
    what = f"{path.name} ({header['what']})"
    return Trace(header["who"], what, header["arithmetic"], layers, samples, tuple(header["notes"]))


def _layer(entry: dict[str, Any], extent: tuple[int, int], file: Any) -> LayerTrace:
    name, shape = entry["name"], tuple(entry["shape"])
    neurons = prod(shape)
    full, flat = (*extent, neurons), (neurons,)
    wanted = {"threshold": flat, "scale": flat, "readout": (extent[0], neurons)}
    arrays = {key: file[f"{key}/{name}"] for key in entry["arrays"]}
    for key, array in arrays.items():
        if array.shape != wanted.get(key, full):
            raise DiffError(
                f"{key}/{name} has shape {array.shape}, its header asks for {wanted.get(key, full)}; simulate again"
            )
    if entry["kind"] not in KINDS:
        raise DiffError(f"{name}: kind is {entry['kind']!r}, one of {', '.join(KINDS)} is wanted")
    sources = tuple((str(source), int(lag)) for source, lag in entry["sources"])
    spikes = arrays.pop("spikes")
    if spikes.dtype != np.uint8:
        raise DiffError(f"spikes/{name} holds {spikes.dtype}, uint8 is wanted; simulate again")
    if "scale" not in arrays:
        return LayerTrace(shape, entry["kind"], spikes, sources, **arrays)
    states = {key: array if key == "scale" else array.astype(np.int64) for key, array in arrays.items()}
    raw = RawStates(**states)
    threshold = np.full(neurons, np.inf) if entry["kind"] == "readout" else raw.threshold / raw.scale
    return LayerTrace(shape, entry["kind"], spikes, sources, raw.held / raw.scale, threshold, raw)
