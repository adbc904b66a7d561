"""The file of generated images: what is written is read, and anything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikewright.benchmarks.errors import QualityError
from spikewright.benchmarks.generated_file import VERSIONS, GeneratedFile, read_generated, write_generated

from .test_quality import pictures


def content(**changed: Any) -> GeneratedFile:
    given: dict[str, Any] = {
        "samples": {version: pictures(6, 1, 5, 8, seed) for seed, version in enumerate(VERSIONS)},
        "reconstructions": {version: pictures(9, 1, 5, 8, seed + 3) for seed, version in enumerate(VERSIONS)},
        "seed": 7,
        "figures": {"float": {"elbo_bits": 1.25, "used_codes": 61.0}, "int8": {"elbo_bits": 1.27}},
    }
    return GeneratedFile(**{**given, **changed})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    wanted, path = content(), tmp_path / "build" / "generated.npz"
    write_generated(path, wanted)
    found = read_generated(path)
    assert (found.count, found.seed, found.figures) == (6, 7, wanted.figures)
    for version in VERSIONS:
        assert np.array_equal(found.samples[version], wanted.samples[version])
        assert np.array_equal(found.reconstructions[version], wanted.reconstructions[version])
    assert [file.name for file in path.parent.iterdir()] == ["generated.npz"]


def test_reconstructions_and_figures_may_be_missing(tmp_path: Path) -> None:
    write_generated(tmp_path / "g.npz", content(reconstructions={}, figures={}))
    found = read_generated(tmp_path / "g.npz")
    assert (found.reconstructions, found.figures) == ({}, {})


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({key: value})


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no chip": (lambda arrays: arrays.pop("int8"), r"array 'int8' is missing"),
    "no seed": (lambda arrays: arrays.pop("seed"), r"array 'seed' is missing"),
    "flat": (change("float", np.zeros((6, 40), np.float32)), r"array 'float': float32 of shape \(6, 40\), not"),
    "whole": (change("ann", np.zeros((6, 1, 5, 8), np.uint8)), r"array 'ann': uint8 of shape"),
    "empty": (change("ann", np.zeros((0, 1, 5, 8), np.float32)), r"array 'ann': float32 of shape \(0, 1, 5, 8\)"),
    "bytes": (change("ann", np.full((6, 1, 5, 8), 200.0)), r"array 'ann': pixels from 200 to 200, not in \[-1, 1\]"),
    "nan": (change("ann", np.full((6, 1, 5, 8), np.nan)), r"array 'ann': pixels from nan to nan"),
    "other size": (change("int8", pictures(6, 1, 8, 5)), r"'int8': images of \(1, 8, 5\), those of 'ann' are \(1, 5, 8\)"),
    "other count": (change("float", pictures(5, 1, 5, 8)), r"array 'float': 5 images, but 'count' is 6"),
    "other reconstruction": (
        change("reconstructed_ann", pictures(9, 3, 5, 8)), r"'reconstructed_ann': images of \(3, 5, 8\)",
    ),
    "foreign": (change("weights", np.zeros(3)), r"unknown arrays weights"),
    "figure": (change("figure_int8_bits", np.zeros(2)), r"array 'figure_int8_bits': no finite number"),
    "real seed": (change("seed", np.float64(0.5)), r"array 'seed': no whole number"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_its_array_and_a_remedy(case: str, tmp_path: Path) -> None:
    path = tmp_path / "generated.npz"
    write_generated(path, content())
    with np.load(path) as archive:
        arrays = dict(archive)
    break_it, wanted = BROKEN[case]
    break_it(arrays)
    np.savez(path, **arrays)
    with pytest.raises(QualityError, match=wanted) as caught:
        read_generated(path)
    assert str(path) in str(caught.value)
    assert "spikewright deploy" in str(caught.value)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QualityError, match=r"generated.npz: no such file; run `spikewright deploy` first"):
        read_generated(tmp_path / "generated.npz")
    write_generated(tmp_path / "g.npz", content())
    whole = (tmp_path / "g.npz").read_bytes()
    for bad in (b"", b"text", whole[: len(whole) // 2]):
        (tmp_path / "g.npz").write_bytes(bad)
        with pytest.raises(QualityError, match=r"not a readable .npz file"):
            read_generated(tmp_path / "g.npz")


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    bad = content(samples={version: pictures(6, 1, 5, 8) * 300 for version in VERSIONS})
    with pytest.raises(QualityError, match=r"not in \[-1, 1\]"):
        write_generated(tmp_path / "generated.npz", bad)
    assert not list(tmp_path.iterdir())
