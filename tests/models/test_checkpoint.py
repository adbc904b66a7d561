"""Weights files: written whole or not at all, and every bad one an error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spikewright.models import checkpoint
from spikewright.models.checkpoint import CheckpointError, load_tensors, load_weights, save_tensors

METADATA = {"seed": 3, "rows": [{"epoch": 1, "mse": 0.1234567890123456789}], "name": "né"}


def network(width: int = 3) -> nn.Sequential:
    torch.manual_seed(width)
    return nn.Sequential(nn.Conv2d(2, width, (3, 2)), nn.BatchNorm2d(width))


def saved(path: Path, **changes: torch.Tensor) -> Path:
    save_tensors(path, {**network().state_dict(), **changes}, METADATA)
    return path


def test_tensors_and_metadata_come_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {
        "view": torch.arange(12.0).reshape(3, 4).T, "none": torch.zeros(0, 3), "scalar": torch.tensor(7),
        "bytes": torch.arange(5, dtype=torch.uint8), "half": torch.tensor([1.5], dtype=torch.float16),
    }  # fmt: skip
    save_tensors(tmp_path / "new" / "w.safetensors", tensors, METADATA)
    back, metadata = load_tensors(tmp_path / "new" / "w.safetensors")
    assert metadata == METADATA
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[k], v) and back[k].dtype == v.dtype for k, v in tensors.items())
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["w.safetensors"]


def test_weights_go_into_their_network(tmp_path: Path) -> None:
    target = network()
    for parameter in target.parameters():
        nn.init.zeros_(parameter)
    assert load_weights(target, saved(tmp_path / "w.safetensors")) == METADATA
    assert all(torch.equal(v, network().state_dict()[k]) for k, v in target.state_dict().items())


def refused(path: Path, *words: str, module: nn.Module | None = None) -> None:
    target = module or network()
    before = {k: v.clone() for k, v in target.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(target, path)
    assert all(word in str(caught.value) for word in (str(path), *words)), str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items()), (
        "a refused file changed the network"
    )


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "w.safetensors").read_bytes()
    for end in range(0, len(whole), 17):
        (tmp_path / "cut.safetensors").write_bytes(whole[:end])
        refused(tmp_path / "cut.safetensors", "not a readable safetensors file")


@pytest.mark.parametrize(
    "content",
    [b"", b"weights", b"\x80\x04}q\x00.", b"PK\x03\x04", b"\x08" + bytes(7) + b'{"a": 1}', bytes(64)],
)
def test_what_is_no_weights_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    refused(tmp_path / "w.safetensors")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "w.safetensors", "no such weights file", "spikewright train")
    refused(tmp_path)


def test_torchs_own_pickle_is_not_loaded(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", "not a readable safetensors file")


BAD: list[tuple[str, Callable[[Path], Any], tuple[str, ...]]] = [
    (
        "another network",
        lambda p: save_tensors(p, nn.Linear(2, 3).state_dict(), {}),
        ("another network", "0.bias", "weight"),
    ),
    ("a tensor too many", lambda p: saved(p, extra=torch.ones(1)), ("another network", "extra")),
    (
        "another width",
        lambda p: save_tensors(p, network(4).state_dict(), {}),
        ("0.bias", "(4,)", "(3,)", "size"),
    ),
    (
        "a NaN",
        lambda p: saved(p, **{"0.weight": torch.full((3, 2, 3, 2), torch.nan)}),
        ("0.weight", "NaN", "diverged"),
    ),
    (
        "an infinite mean",
        lambda p: saved(p, **{"1.running_mean": torch.full((3,), torch.inf)}),
        ("1.running_mean", "infinite"),
    ),
]


@pytest.mark.parametrize(("write", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_weights_that_do_not_fit_are_refused(
    write: Callable[[Path], Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    write(tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", *words)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved(tmp_path / "w.safetensors").read_bytes()

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        saved(tmp_path / "w.safetensors", extra=torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    assert (tmp_path / "w.safetensors").read_bytes() == before
