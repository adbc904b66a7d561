"""ONNX files by ONNX Runtime: floats equal torch, integers are near them, and what cannot be run is named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.benchmarks.ann import export_onnx
from spikewright.benchmarks.errors import AnnError
from spikewright.benchmarks.onnx_run import OnnxNetwork, quantise_onnx
from spikewright.twin_runs import TwinFile, twin_runs

pytest.importorskip("onnxruntime")


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 6, (3, 5), stride=(2, 1), padding=(1, 0)), nn.ReLU(), nn.Conv2d(6, 3, 1)
    ).eval()


def samples(count: int, tails: float = 0.0) -> np.ndarray:
    drawn = np.random.default_rng(count).standard_normal((count, 2, 9, 14)).astype(np.float32)
    drawn.reshape(count, -1)[:, 0] *= 1 + tails
    return drawn


@pytest.mark.parametrize("tails", [0.0, 40.0])
def test_integers_are_near_the_floats_that_equal_torch(tmp_path: Path, tails: float) -> None:
    net, some = network(), samples(40, tails)
    source, target = tmp_path / "net.onnx", tmp_path / "net.int8.onnx"
    export_onnx(net, some.shape[1:], source)
    with torch.no_grad():
        wanted = net(torch.from_numpy(some)).numpy()
    np.testing.assert_allclose(OnnxNetwork(source)(some), wanted, atol=1e-4)
    assert quantise_onnx(source, target, some) in ("whole range", "99.99 % of values")
    found = OnnxNetwork(target)(some)
    error = np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean())
    assert 0 < error < (0.05 if not tails else 0.5)
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.int8.onnx"}


def test_a_missing_or_damaged_file_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(AnnError, match=r"net\.onnx: missing"):
        OnnxNetwork(tmp_path / "net.onnx")
    damaged = tmp_path / "net.onnx"
    damaged.write_bytes(b"nothing")
    with pytest.raises(AnnError, match=r"net\.onnx: cannot be run"):
        quantise_onnx(damaged, tmp_path / "net.int8.onnx", samples(2))
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_twin_is_judged_in_both_precisions_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, some = network(), samples(5)
    export_onnx(net, some.shape[1:], tmp_path / "twin.onnx")
    files = {"twin": TwinFile(tmp_path / "twin.onnx", samples(8))}
    rows = twin_runs(files, lambda found: {"mean": float(found["twin"](some).mean())}, 5)
    assert [(row.precision, row.measure, row.samples) for row in rows] == [
        ("float32", "mean", 5),
        ("int8", "mean", 5),
    ]
    assert rows[0].value is not None
    assert rows[1].value is not None
    assert rows[0].value != rows[1].value
    assert rows[0].value == pytest.approx(rows[1].value, abs=0.05)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows = twin_runs(files, lambda found: {"mean": 0.0}, 5)
    assert [row.value for row in rows] == [None, None]
    assert all("pip install onnxruntime" in row.reason for row in rows)
