"""Energy of a clip as the paper counts, and what the stem of either variant costs the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from ..benchmarks.ann import MacCount, count_macs, export_onnx
from ..benchmarks.report.pulse import PulseEnergy
from ..models.physformer_ann import PhysFormer
from ..models.physformer_host import PatchEmbedding
from ..models.physformer_layout import PhysFormerConfig, Variant
from .host_part import PARTS, file_of

MAC_JOULE, AC_JOULE = 4.6e-12, 0.9e-12  # 45 nm, Horowitz (ISSCC 2014), as the paper takes them
STEMS = {"deployment": "a stem that sees a frame at a time", "reproduction": "a stem that mixes frames"}
_LAYERS = "twin.layers.onnx"


class _Layers(nn.Module):
    """The twin between embedding and predictor."""

    def __init__(self, twin: PhysFormer) -> None:
        super().__init__()
        self.layers = twin.layers

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, count, width) to the same."""
        out: Tensor = self.layers(tokens)
        return out


def host_macs(folder: Path) -> int:
    """Multiply-accumulates of the host's part for a clip, from its ONNX files."""
    return sum(count_macs(folder / file_of(part, "float32")).macs for part in PARTS)


def layers_macs(twin: PhysFormer) -> int:
    """Multiply-accumulates of the twin's transformer layers for a clip."""
    slices, rows, columns = twin.config.grid
    with TemporaryDirectory() as folder:
        path = Path(folder) / _LAYERS
        export_onnx(_Layers(twin), (slices * rows * columns, twin.config.width), path)
        return count_macs(path).macs


def pulse_energy(
    config: PhysFormerConfig, folder: Path, twin: PhysFormer, whole: MacCount, sops: float
) -> PulseEnergy:
    """The paper's accounting of a clip.

    Parameters
    ----------
    folder : Path
        Holds the host's part as ONNX.
    whole : MacCount
        Of the twin.
    sops : float
        Synaptic operations of the program for a clip.
    """
    host, layers = host_macs(folder), layers_macs(twin)
    variant: Variant = "reproduction" if config.variant == "deployment" else "deployment"
    both: tuple[Variant, Variant] = (config.variant, variant)
    stems = {one: _stem_macs(replace(config, variant=one)) for one in both}
    spiking, twin_blocks = AC_JOULE * sops, MAC_JOULE * layers
    return PulseEnergy(
        host=MAC_JOULE * host,
        spiking_blocks=spiking,
        twin_blocks=twin_blocks,
        block_ratio=twin_blocks / spiking if spiking else 0.0,
        whole_saving_percent=100 * (1 - (MAC_JOULE * host + spiking) / (MAC_JOULE * whole.macs)),
        host_macs=host,
        other_stem_host_macs=host - stems[config.variant] + stems[variant],
        other_stem=STEMS[variant],
    )


def _stem_macs(config: PhysFormerConfig) -> int:
    with TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        path = Path(folder) / "stem.onnx"
        export_onnx(PatchEmbedding(config), (3, config.frames, *config.image), path)
        return count_macs(path).macs
