"""Write recordings as UBFC-rPPG's DATASET_2 has them, so that other tools can read what is made here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from ..data.errors import DataError
from .avi import write_video
from .recording import Recording

_SHORTEST_BEAT_S = 0.4  # 150 beats a minute


def export_ubfc(recordings: Iterable[Recording], root: str | Path) -> list[Path]:
    """Write ``subject<n>/vid.avi`` and ``ground_truth.txt``, numbered from 1 in the order of the recordings.

    The video is uncompressed. The three lines of the text file are the pulse wave, the heart rate between its highest
    points (a stand-in for the oximeter's), and the time stamps, with eight significant digits.

    Parameters
    ----------
    recordings : iterable of Recording
        With a pulse.
    root : str or Path
        Folder to write to; made if it is not there.

    Returns
    -------
    list of Path
        The subjects' folders.

    Raises
    ------
    DataError
        A recording has no pulse, or a subject's folder is there already. Folders before it are complete, none is partly
        written.
    """
    folders = []
    for number, recording in enumerate(recordings, 1):
        folder = Path(root) / f"subject{number}"
        if recording.pulse is None:
            raise DataError(f"recording {recording.name} has no pulse: UBFC-rPPG's layout takes one")
        if folder.exists():
            raise DataError(f"{folder} is there already: choose another folder or delete it")
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir(parents=True)
        try:
            write_video(temporary / "vid.avi", recording.frames, recording.fps)
            lines = (
                recording.pulse,
                _heart_rate(recording.pulse, recording.times, recording.fps),
                recording.times,
            )
            text = "".join("   ".join(f"{value:.7e}" for value in line) + "\n" for line in lines)
            (temporary / "ground_truth.txt").write_text(text, encoding="ascii")
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        folders.append(folder)
    return folders


def _heart_rate(pulse: NDArray[np.float32], times: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Mean rate between peaks at least 0.4 s apart, once a frame; 0 where there are not two, as oximeters show it."""
    peaks, _ = find_peaks(pulse, distance=max(1, round(_SHORTEST_BEAT_S * fps)))
    rate = 0.0
    if len(peaks) > 1:
        rate = 60 * (len(peaks) - 1) / float(times[peaks[-1]] - times[peaks[0]])
    return np.full(len(times), rate)
