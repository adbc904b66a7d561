"""The simulators of the comparison, and the environments that those live in which are not in ours.

``python -m spikewright.benchmarks.simulators.rivals`` (or ``make rivals``) makes all environments; names choose some.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...hardware.lava.compat import INSTALL as LAVA_INSTALL
from ...hardware.lava.compat import available as lava_available
from .workers.network import Network

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements"
#: Relative to where the command runs, as every build.
ENVIRONMENTS = Path("build/rivals")
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--progress-bar", "off")
OURS, LAVA = "spikewright", "lava"


class InstallError(Exception):
    """An environment that could not be made; the message says why."""


def _anything(network: Network) -> str:
    return ""


def _chains(network: Network) -> str:
    """What the nengo-loihi worker does not build."""
    other = {layer.kind for layer in network.layers} - {"linear", "flatten", "lif"}
    if network.coding == "direct" or other:
        return (
            "its convolutions put their padding on one side where a stride leaves a remainder, so only the fully "
            "connected networks are the same network there"
        )
    return ""


@dataclass(frozen=True)
class Rival:
    """A simulator.

    Attributes
    ----------
    arithmetic : str
        Of neurons and synapses.
    module : str
        What must be importable in our own environment; empty for one in an environment of its own.
    mode : str
        How it is run, for the page.
    most : int or None
        Largest batch.
    refuses : callable
        Why it cannot run a network; empty where it can.
    """

    name: str
    title: str
    arithmetic: str
    module: str
    mode: str
    most: int | None = None
    refuses: Callable[[Network], str] = _anything

    @property
    def floats(self) -> bool:
        """It computes in floats."""
        return self.arithmetic.startswith("float")

    @property
    def requirements(self) -> Path:
        """What its environment holds."""
        return REQUIREMENTS / f"{self.name}.txt"


RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        Rival(OURS, "spikewright emulator", "integer", "numba", "a batch at a time, spike counts included"),
        Rival(
            LAVA,
            "Lava fixed_pt",
            "integer",
            "",
            "start-up not counted: the slope between a short and a long run; it runs a process for every population "
            "and synapse group, on as many cores as there are",
            most=1,
        ),
        Rival("snntorch", "snnTorch", "float32", "snntorch", "its module stepped through time"),
        Rival("norse", "norse", "float32", "norse", "modules lifted over time (`Lift`), layer by layer"),
        Rival(
            "spikingjelly",
            "SpikingJelly",
            "float32",
            "",
            "multi-step mode (`step_mode='m'`), its own layers over (time, batch, ...)",
        ),
        Rival(
            "sinabs",
            "Sinabs",
            "float32",
            "",
            "squeezing neurons (`LIFSqueeze`, `IAFSqueeze`), one spike a step, reset to zero",
        ),
        Rival(
            "spyx",
            "Spyx",
            "float32",
            "",
            "`spyx.nn.run` under `jax.jit`, compiled before it is timed; a neuron that resets to zero written to its "
            "documented protocol, since its own subtracts",
        ),
        Rival(
            "nengo-loihi",
            "nengo-loihi",
            "integer, its own",
            "",
            "its emulator (`target='sim'`), sample after sample without a pause",
            most=1,
            refuses=_chains,
        ),
    )
}


def environment(name: str) -> Path:
    """Folder of a rival's environment."""
    return ENVIRONMENTS / name


def interpreter(rival: Rival) -> Path:
    """Python that runs a rival's worker."""
    if rival.module:
        return Path(sys.executable)
    return (environment(rival.name) / "bin" / "python").absolute()


def remedy(rival: Rival) -> str:
    """The line that installs a rival."""
    if rival.name == LAVA:
        return LAVA_INSTALL
    if rival.module:
        return "make .venv/.runtime"
    return f"make rivals RIVALS={rival.name}"


def available(rival: Rival) -> tuple[bool, str]:
    """Whether a rival can be started; if not, why, and the line that installs it."""
    if rival.name == LAVA:
        return lava_available()
    if rival.module:
        if importlib.util.find_spec(rival.module) is not None:
            return True, ""
        return False, f"{rival.module} cannot be imported; install with: {remedy(rival)}"
    if not interpreter(rival).exists():
        return False, f"not installed; install with: {remedy(rival)}"
    if not _marked(rival):
        return False, f"its environment is incomplete or of other versions; install with: {remedy(rival)}"
    return True, ""


def _fingerprint(rival: Rival) -> str:
    return hashlib.sha256(rival.requirements.read_bytes()).hexdigest()


def _marked(rival: Rival) -> bool:
    """The environment was finished, with the requirements as they are now."""
    mark = environment(rival.name) / ".requirements"
    return mark.exists() and mark.read_text() == _fingerprint(rival)


def install(rival: Rival) -> bool:
    """Make a rival's environment where there is none of these requirements; says whether it made one.

    Raises
    ------
    InstallError
        No fitting Python, or pip failed.
    """
    if rival.module or rival.name == LAVA or available(rival)[0]:
        return False
    folder = environment(rival.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _call([python_for(rival), "-m", "venv", str(folder)])
    python = str(folder / "bin" / "python")
    torch = next((x for x in rival.requirements.read_text().splitlines() if x.startswith("torch==")), None)
    if torch is not None:
        _install_torch(python, torch)
    _call([python, *PIP, "--no-deps", "-r", str(rival.requirements)])
    (folder / ".requirements").write_text(_fingerprint(rival))
    return True


def _install_torch(python: str, torch: str) -> None:
    """The processor build where its index can be reached: the default one brings gigabytes for GPUs on most systems."""
    index = os.environ.get("TORCH_INDEX", CPU_TORCH)
    if index:
        quick = ("--retries", "0", "--timeout", "15", "--no-deps", "--index-url", index, torch)
        subprocess.run([python, *PIP, *quick], capture_output=True, check=False)
    _call([python, *PIP, torch])


def python_for(rival: Rival) -> str:
    """An installed Python of the versions that the first line of the requirements allows: ours if it is one.

    Raises
    ------
    InstallError
        None was found.
    """
    found = re.search(r"^# python: 3\.(\d+)-3\.(\d+)", rival.requirements.read_text(), re.MULTILINE)
    if found is None or int(found[1]) <= sys.version_info.minor <= int(found[2]):
        return sys.executable
    for minor in range(int(found[2]), int(found[1]) - 1, -1):
        path = shutil.which(f"python3.{minor}")
        # A version manager's placeholder is found but does not start.
        if path and not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode:
            return path
    raise InstallError(
        f"{rival.title}: needs Python 3.{found[1]} to 3.{found[2]} and none is installed; its requirements say why"
    )


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise InstallError(f"{' '.join(command[1:4])}: {errors[-1].strip()}")


def main() -> None:
    """Make the environments that are missing; one that fails is named, and the others are made."""
    parser = argparse.ArgumentParser(
        prog="python -m spikewright.benchmarks.simulators.rivals", description=main.__doc__
    )
    separate = [r.name for r in RIVALS.values() if not r.module and r.name != LAVA]
    parser.add_argument("names", nargs="*", metavar="rival", help=f"of {', '.join(separate)}; all by default")
    names = parser.parse_args().names or separate
    unknown = sorted(set(names) - set(separate))
    if unknown:
        parser.error(
            f"{', '.join(unknown)}: no rival with an environment of its own; those are {', '.join(separate)}"
        )
    for name in names:
        rival = RIVALS[name]
        try:
            made = install(rival)
        except (InstallError, OSError) as error:
            print(f"warning: {name} could not be installed ({error}); the benchmark goes on without it")
        else:
            print(
                f"{rival.title}: {'installed' if made else 'is installed'} in {environment(name)}", flush=True
            )


if __name__ == "__main__":
    main()
