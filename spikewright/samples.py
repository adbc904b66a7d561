"""Samples for a run: from a file, or random spikes where nothing better is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BuildError

#: Name of the samples in an .npz that holds several arrays.
KEY = "samples"


def load_samples(file: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read samples (N, ...) from an ``.npy``, or from an ``.npz`` with one array or one called ``samples``.

    Parameters
    ----------
    mapped : bool
        Leave an ``.npy`` on disk and in its own type, for whoever takes a few samples at a time; else float32.

    Raises
    ------
    BuildError
        The file is missing, unreadable, or holds no numbers.
    """
    try:
        loaded: Any = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded as archive:
                names = archive.files
                key = KEY if KEY in names else names[0] if len(names) == 1 else None
                loaded = None if key is None else archive[key]
            if key is None:
                raise BuildError(
                    f"{file}: holds {', '.join(names) or 'nothing'}; call the array of samples {KEY!r}"
                )
    except FileNotFoundError:
        raise BuildError(f"{file}: no such file") from None
    except BuildError:
        raise
    except Exception as error:
        # numpy, zipfile and zlib each raise their own: the boundary to foreign bytes.
        raise BuildError(f"{file}: not a readable .npy file ({error}); save it with numpy.save") from None
    if not isinstance(loaded, np.ndarray) or loaded.ndim < 2 or loaded.dtype.kind not in "fiub":
        raise BuildError(f"{file}: holds no array of samples (N, ...)")
    return loaded if mapped else loaded.astype(np.float32)


def random_spikes(
    count: int, timesteps: int, shape: tuple[int, ...], *, rate: float, seed: int
) -> NDArray[np.float32]:
    """Spikes (count, timesteps, ...) that are independent of each other."""
    rng = np.random.default_rng(seed)
    return (rng.random((count, timesteps, *shape)) < rate).astype(np.float32)
