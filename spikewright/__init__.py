"""Spikewright: from a trained spiking network to a verified Loihi deployment with its energy report.

The public names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Deployment, deploy
    from .export.net_read import read_net
    from .export.net_write import write_net
    from .export.nir_read import read_graph
    from .hardware.emulator import Emulator
    from .hardware.program_io import load_program
    from .importing import Imported, export_nir

__version__ = "0.1.0"

_PUBLIC = {
    "Deployment": ".api",
    "deploy": ".api",
    "export_nir": ".importing",
    "Imported": ".importing",
    "read_graph": ".export.nir_read",
    "read_net": ".export.net_read",
    "write_net": ".export.net_write",
    "Emulator": ".hardware.emulator",
    "load_program": ".hardware.program_io",
}
__all__ = [
    "Deployment",
    "Emulator",
    "Imported",
    "__version__",
    "deploy",
    "export_nir",
    "load_program",
    "read_graph",
    "read_net",
    "write_net",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
