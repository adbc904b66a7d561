"""``spikewright doctor``."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import asdict, dataclass

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..hardware.lava.silicon import missing as lacking_of_a_chip
from .main import MISSING, app
from .options import JsonOption, print_json


@dataclass(frozen=True)
class Component:
    """One thing Spikewright can use."""

    name: str
    version: str
    needed: bool
    use: str
    remedy: str


REQUIRED = {
    "torch": "training and the float level",
    "snntorch": "the networks",
    "nir": "reading and writing NIR",
    "numba": "the emulator",
    "onnx": "counting the ANN baseline",
}
OPTIONAL = {
    "norse": ("the float NIR file against an outside simulator", "pip install 'spikewright[norse]'"),
    "onnxruntime": ("running the ANN baseline", "pip install 'spikewright[onnxruntime]'"),
    "distributed": ("sweeps on Dask", "pip install 'spikewright[sweep]'"),
    "torch-fidelity": ("FID and inception score", "pip install 'spikewright[fidelity]'"),
}


def components() -> list[Component]:
    """Everything looked for, found or not."""
    from ..hardware.lava import available as lava_available

    found = [Component("python", platform.python_version(), True, "3.11 to 3.13", "")]
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        found = [Component("python", "", True, "3.11 to 3.13", "install Python 3.11, 3.12 or 3.13")]
    for name, use in REQUIRED.items():
        found.append(Component(name, _version(name), True, use, f"pip install {name}"))
    usable, reason = lava_available()
    remedy = "" if usable else reason
    found.append(
        Component(
            "lava-nc", _version("lava-nc") if usable else "", False, "Intel's simulator as the oracle", remedy
        )
    )
    for name, (use, line) in OPTIONAL.items():
        found.append(Component(name, _version(name), False, use, line))
    found.append(
        Component(
            "GPU",
            _gpu(),
            False,
            "training at paper scale",
            "install a CUDA build of torch: https://pytorch.org",
        )
    )
    lacking = lacking_of_a_chip()
    here = "" if lacking else "reachable"
    found.append(
        Component(
            "Loihi 2", here, False, "sessions on a chip: open_session(program, 'loihi2')", "; ".join(lacking)
        )
    )
    return found


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


@app.command()
def doctor(json: JsonOption = False) -> None:
    """Say what is installed, what is missing, and the one line that mends it. Exits with 3 if a needed part is missing."""
    found = components()
    if json:
        print_json([{**asdict(c), "found": bool(c.version)} for c in found])
    else:
        table = Table("component", "found", "used for", "to mend", box=None)
        for c in found:
            said = (
                f"[green]{c.version}[/]"
                if c.version
                else ("[red]missing[/]" if c.needed else "[yellow]not found[/]")
            )
            table.add_row(c.name, said, c.use, "" if c.version else escape(c.remedy))
        Console().print(table)
    if any(c.needed and not c.version for c in found):
        raise typer.Exit(MISSING)
