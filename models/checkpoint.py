"""Weights and training state as safetensors: no pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn


class CheckpointError(Exception):
    """A weights or checkpoint file that cannot be used."""


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata to a temporary file beside ``path``, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    contiguous = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        temporary.write_bytes(save(contiguous, metadata={"spikewright": json.dumps(metadata)}))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote.

    Raises
    ------
    CheckpointError
        The file is missing, truncated, or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = json.loads((handle.metadata() or {}).get("spikewright", "{}"))
        return load_file(path), metadata
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such weights file; train first (`spikewright train`)") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); train again or fetch it anew"
        ) from None


def load_weights(module: nn.Module, path: Path) -> dict[str, Any]:
    """Load weights into ``module`` and return the file's metadata.

    Raises
    ------
    CheckpointError
        Also when names or shapes differ from the module's, or a weight is not finite.
    """
    tensors, metadata = load_tensors(path)
    own = module.state_dict()
    missing, foreign = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or foreign:
        raise CheckpointError(
            f"{path}: weights of another network (missing {missing[:3]}, unknown {foreign[:3]})"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            wanted, found = tuple(own[name].shape), tuple(tensor.shape)
            raise CheckpointError(
                f"{path}: {name} has shape {found}, the network wants {wanted}; check the recipe's size"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinite values; the training run diverged")
    module.load_state_dict(tensors)
    return metadata
