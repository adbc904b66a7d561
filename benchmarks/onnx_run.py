"""ONNX files as they are run where one ships them: by ONNX Runtime, in 32-bit floats or quantised to 8-bit integers."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.whole_file import whole_file
from .errors import AnnError

Array = NDArray[np.float32]
#: Ways to find the range of an activation; a range that leaves out rare values has finer steps for the others.
CALIBRATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "whole range": ("MinMax", {}),
    "99.99 % of values": ("Percentile", {"CalibPercentile": 99.99}),
}


class OnnxNetwork:
    """A file that takes one sample at a time, as a function of samples.

    Parameters
    ----------
    path : Path
        Takes a tensor named ``input`` of shape (1, ...), and gives one.

    Raises
    ------
    AnnError
        The file is missing or cannot be run, or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path) -> None:
        ort = runtime()
        if not path.exists():
            raise AnnError(f"{path}: missing")
        options = ort.SessionOptions()
        # Without it processors that lack VNNI add products of integers pairwise in 16 bits, which saturates
        # (microsoft/onnxruntime#12088): the same file would be some times as far off there.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
            raise AnnError(f"{path}: cannot be run ({str(error).splitlines()[0]})") from None

    def __call__(self, samples: Array) -> Array:
        """Outputs (N, ...) of samples (N, ...)."""
        outputs = [self._session.run(None, {"input": sample[None]})[0] for sample in samples]
        return np.concatenate(outputs)


def quantise_onnx(source: Path, target: Path, samples: Array) -> str:
    """Write a float file in 8-bit integers: static quantisation, a scale a tensor and, of weights, an output channel.

    Ranges of activations are found in each of the ways of :data:`CALIBRATIONS`; the file whose outputs differ least from
    the float file's over the samples is kept.

    Parameters
    ----------
    samples : ndarray of float32
        What the network sees, shape (N, ...), at least one.

    Returns
    -------
    str
        The way that was kept.

    Raises
    ------
    AnnError
        ONNX Runtime is not installed, or cannot run or quantise the file.
    """
    exact = OnnxNetwork(source)(samples)
    best: tuple[float, str] | None = None
    with whole_file(target) as kept:
        prepared, tried = (kept.with_suffix(f".{stage}.onnx") for stage in ("prepared", "tried"))
        try:
            for way, (method, options) in CALIBRATIONS.items():
                _quantise(source, prepared, tried, samples, method, options)
                error = float(np.square(OnnxNetwork(tried)(samples) - exact, dtype=np.float64).mean())
                if best is None or error < best[0]:
                    best = error, way
                    tried.replace(kept)
        except AnnError:
            raise
        except Exception as error:  # ONNX Runtime's quantiser has no exception of its own
            raise AnnError(f"{source}: cannot be quantised ({str(error).splitlines()[0]})") from None
        finally:
            prepared.unlink(missing_ok=True)
            tried.unlink(missing_ok=True)
    assert best is not None
    return best[1]


def runtime() -> Any:
    """The package ``onnxruntime``.

    Raises
    ------
    AnnError
        It is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise AnnError("onnxruntime: not installed; `pip install onnxruntime` runs ONNX files") from None
    return onnxruntime


def _quantise(
    source: Path, prepared: Path, target: Path, samples: Array, method: str, options: dict[str, Any]
) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        """Samples one by one, as the calibration asks for them."""

        def __init__(self) -> None:
            self.left = iter(samples)

        def get_next(self) -> dict[str, Array] | None:
            sample = next(self.left, None)
            return None if sample is None else {"input": sample[None]}

    with _quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(target), Samples(), quant_format=QuantFormat.QDQ, per_channel=True,
            calibrate_method=CalibrationMethod[method], extra_options=options,
        )  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime's advice and its prints, which its user can do nothing about, off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
