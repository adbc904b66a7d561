"""Whether Lava is here, and importing it on Pythons newer than the one that it was released for."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import os
import sys

#: lava-nc declares Python 3.10 only, so that pip refuses it unless told to look away.
INSTALL = (
    "pip install --no-deps --ignore-requires-python lava-nc==0.10.0 && pip install 'spikewright[lava]'"
)
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
    if not hasattr(os, "fork"):
        return False, "Lava needs an operating system that forks processes; use Linux or macOS"
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
    """Make Lava importable; call before anything of Lava is imported.

    Python 3.11 began to refuse unhashable dataclass defaults, and one module of Lava 0.10.0 uses an instance of a
    dataclass with ``eq`` as one. With ``unsafe_hash`` that instance is hashable again; nothing else changes.
    """
    if _VAR_MODEL in sys.modules:
        return
    original = dataclasses.dataclass
    dataclasses.dataclass = functools.partial(original, unsafe_hash=True)  # type: ignore[assignment]
    try:
        importlib.import_module(_VAR_MODEL)
    finally:
        dataclasses.dataclass = original
