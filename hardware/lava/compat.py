"""Whether Lava is here, and importing it on Pythons newer than the one that it was released for."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import sys
from typing import Any

from numpy.typing import NDArray

#: lava-nc declares Python 3.10 only, so that pip refuses it unless told to look away.
INSTALL = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install 'spikewright[lava]'"
_NEEDS = ("lava.proc", "networkx", "asteval")
_VAR_MODEL = "lava.magma.compiler.var_model"


def available() -> tuple[bool, str]:
    """Whether Lava can run in this interpreter; nothing of it is executed.

    Returns
    -------
    bool
        It can.
    str
        If not, why, and the command that mends it.
    """
    if sys.platform != "linux":
        return False, "Lava's processes are driven through /proc and forks; use Linux"
    missing = [name.partition(".")[0] for name in _NEEDS if not _found(name)]
    if missing:
        return False, f"{' and '.join(missing)} cannot be imported; install with: {INSTALL}"
    return True, ""


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def prepare() -> None:
    """Make Lava importable and its port operations work; call before anything of Lava is imported."""
    if _VAR_MODEL in sys.modules:
        return
    # Python 3.11 began to refuse unhashable defaults of dataclass fields, and one module of Lava 0.10.0 has
    # an instance of a dataclass as a default. ``unsafe_hash`` makes it hashable and changes nothing else.
    original = dataclasses.dataclass
    dataclasses.dataclass = functools.partial(original, unsafe_hash=True)
    try:
        importlib.import_module(_VAR_MODEL)
    finally:
        dataclasses.dataclass = original
    # NumPy 2.4 dropped the keyword ``newshape``, with which Lava's reshape port calls ``numpy.reshape``.
    ports = importlib.import_module("lava.magma.core.process.ports.ports")
    ports.ReshapePort.get_transform_func_fwd = lambda port: functools.partial(_reshape, shape=port.shape)


def _reshape(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return data.reshape(shape)
