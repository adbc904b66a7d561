"""What the host computes, as ONNX files in 32-bit floats and in 8-bit integers, run by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..benchmarks.ann import export_onnx
from ..errors import BuildError
from ..export.whole_file import whole_file
from ..models.physformer import SpikingPhysFormer

Precision: TypeAlias = Literal["float32", "int8"]
PARTS = ("embedding", "predictor")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
CALIBRATION_CLIPS = 32


def file_of(part: str, precision: Precision) -> str:
    """Name of a part's file within the build folder."""
    return f"{part}.onnx" if precision == "float32" else f"{part}.int8.onnx"


def export_host(network: SpikingPhysFormer, folder: Path) -> None:
    """Write embedding and predictor as ONNX in 32-bit floats, a clip at a time."""
    config = network.config
    export_onnx(
        network.embedding, (3, config.frames, *config.image), folder / file_of("embedding", "float32")
    )
    export_onnx(network.predictor, config.shape, folder / file_of("predictor", "float32"))


def quantise_host(network: SpikingPhysFormer, clips: NDArray[np.float32], folder: Path) -> None:
    """Write both in 8-bit integers beside them: static quantisation, a scale an output channel.

    Parameters
    ----------
    clips : ndarray
        Clips (N, 3, frames, H, W) for calibration; the first 32 are used.

    Raises
    ------
    BuildError
        ONNX Runtime is not installed.
    """
    runtime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        """Samples one by one, as the calibration asks for them."""

        def __init__(self, samples: Iterator[NDArray[np.float32]]) -> None:
            self.samples = samples

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            sample = next(self.samples, None)
            return None if sample is None else {"input": sample[None]}

    some = torch.from_numpy(clips[:CALIBRATION_CLIPS])
    with torch.no_grad():
        shown = {"embedding": some.numpy(), "predictor": network.see(network.embedding(some))[0].numpy()}
    for part in PARTS:
        target = folder / file_of(part, "int8")
        with whole_file(target) as temporary, _quiet():
            prepared = temporary.with_suffix(".prepared.onnx")
            try:
                quant_pre_process(
                    str(folder / file_of(part, "float32")), str(prepared), skip_symbolic_shape=True
                )
                quantize_static(
                    str(prepared), str(temporary), Samples(iter(shown[part])), quant_format=QuantFormat.QDQ, per_channel=True
                )  # fmt: skip
            finally:
                prepared.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class HostPart:
    """Embedding and predictor as the host runs them.

    Attributes
    ----------
    network : SpikingPhysFormer
        For what is neither: the mean over time steps, and the embedding added to it.
    sessions : dict of str to InferenceSession
    """

    network: SpikingPhysFormer
    sessions: dict[str, Any]

    @classmethod
    def open(cls, network: SpikingPhysFormer, folder: Path, precision: Precision) -> HostPart:
        """The files of a build folder.

        Raises
        ------
        BuildError
            A file is missing or cannot be run, or ONNX Runtime is not installed.
        """
        ort, sessions = runtime(), {}
        for part in PARTS:
            path = folder / file_of(part, precision)
            if not path.exists():
                raise BuildError(f"{path}: missing; run `spikewright export` first")
            try:
                sessions[part] = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
                first = str(error).splitlines()[0]
                raise BuildError(f"{path}: cannot be run ({first}); run `spikewright export` again") from None
        return cls(network, sessions)

    def embed(self, clips: Tensor) -> Tensor:
        """Embeddings (N, width, ...) of clips (N, 3, frames, H, W)."""
        return self._run("embedding", clips)

    def tell(self, totals: Tensor, embedding: Tensor) -> Tensor:
        """Waves (N, frames), as :meth:`~spikewright.models.physformer.SpikingPhysFormer.tell`."""
        return self._run("predictor", self.network.mean(totals, embedding))

    def _run(self, part: str, inputs: Tensor) -> Tensor:
        session = self.sessions[part]
        found = [session.run(None, {"input": one[None]})[0] for one in inputs.numpy()]
        return torch.from_numpy(np.concatenate(found))


def runtime() -> Any:
    """The package ``onnxruntime``.

    Raises
    ------
    BuildError
        It is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise BuildError(
            "onnxruntime: not installed; `pip install onnxruntime` runs the host's part"
        ) from None
    return onnxruntime


class _quiet:
    """Keeps ONNX Runtime's advice, which its user can do nothing about, off the screen."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *error: object) -> None:
        logging.disable(self.before)
