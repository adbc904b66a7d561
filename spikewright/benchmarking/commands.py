"""The command lines that a page names."""

from __future__ import annotations

from pathlib import Path

DEFAULT = Path("build/benchmark")


def whole(folder: Path, *, full: bool, lava: bool) -> str:
    """Writes the page."""
    if folder == DEFAULT and lava and not full:
        return "make benchmark"
    return " ".join(["spikewright benchmark", *_options(folder, full, lava)])


def anew(name: str, folder: Path, *, full: bool, lava: bool) -> str:
    """Measures one model again and writes the page."""
    return " ".join([f"spikewright benchmark {name} --anew", *_options(folder, full, lava)])


def _options(folder: Path, full: bool, lava: bool) -> list[str]:
    found = ["--full"] if full else []
    found += [] if lava else ["--no-lava"]
    return found + ([] if folder == DEFAULT else [f"--out {folder}"])
