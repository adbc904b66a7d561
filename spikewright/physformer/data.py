"""Videos that a recipe names, as the network takes them: clips of frame differences, and the pulse's differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import BuildError
from ..models.pulse_data.clips import clips, resample
from ..models.pulse_data.datasets.entry import Entry
from ..models.pulse_data.datasets.registry import PulseSet, open_dataset
from ..models.pulse_data.recording import Recording
from ..models.pulse_data.synthetic import generate
from ..models.pulse_network import FPS
from ..models.recipe import PulseData
from ..stage import Split

FIRST_TEST_SUBJECT = 100_000  # computed subjects of the test split are counted from here


@dataclass(frozen=True, eq=False)
class Video:
    """A recording as the network takes it.

    Attributes
    ----------
    name, subject : str
    clips : ndarray of float32
        Shape (N, 3, frames, H, W), the clips in order.
    labels : ndarray of float32
        Differences of the pulse, shape (N, frames).
    traces : ndarray of float64
        Mean red, green and blue of each frame that is in a clip, shape (N * frames, 3).
    """

    name: str
    subject: str
    clips: NDArray[np.float32]
    labels: NDArray[np.float32]
    traces: NDArray[np.float64]


def count_recordings(data: PulseData, split: Split) -> int:
    """Videos that a split has."""
    if data.name == "synthetic":
        return data.train_videos if split == "train" else data.test_videos
    return len(_entries_of(open_dataset(data.name), data, split))


def recordings(
    data: PulseData, split: Split, seed: int, most: int | None = None, chosen: Sequence[int] | None = None
) -> Iterator[Video]:
    """Videos of a split, one after another.

    Parameters
    ----------
    seed : int
        Of computed videos.
    most : int, optional
        So many videos at most.
    chosen : sequence of int, optional
        Numbers of the videos within the split, in the order wanted; by default all of them. Computed videos do not
        end with the split: any subject of the training split below 100,000 may be asked for.

    Raises
    ------
    BuildError
        A split without a single video, or a computed one that would be of a test subject.
    """
    if data.name == "synthetic":
        first = 0 if split == "train" else FIRST_TEST_SUBJECT
        numbers = range(count_recordings(data, split)) if chosen is None else chosen
        if split == "train" and max(numbers, default=0) >= FIRST_TEST_SUBJECT:
            raise BuildError(
                f"data.train_videos ({data.train_videos}): training would see subject {max(numbers):,}, and tests are "
                f"made on those from {FIRST_TEST_SUBJECT:,}; take fewer videos or epochs"
            )
        for number in numbers[:most]:
            yield video_of(generate(first + number, data.level, data.video_frames, data.image, seed), data)
        return
    found = open_dataset(data.name)
    entries = _entries_of(found, data, split)
    for entry in (entries if chosen is None else [entries[number] for number in chosen])[:most]:
        yield video_of(found.read(entry, size=data.image), data)


def video_of(recording: Recording, data: PulseData) -> Video:
    """A labelled recording of a face, cropped, brought to the network's frame rate and cut into clips.

    Raises
    ------
    BuildError
        It has no label.
    """
    if recording.pulse is None:
        raise BuildError(f"{recording.name}: has no pulse to learn from or to judge by; give its label file")
    even = resample(recording, FPS)
    parts, labels = clips(even, data.frames)
    assert labels is not None
    used = even.frames[: len(parts) * data.frames]
    return Video(recording.name, recording.subject, parts, labels, used.mean((1, 2), dtype=np.float64))


def _entries_of(found: PulseSet, data: PulseData, split: Split) -> list[Entry]:
    """Recordings of a data set's split: the first subjects are trained on."""
    trained = set(found.subjects[: round(len(found.subjects) * data.train_share)])
    chosen = [entry for entry in found.entries if (entry.subject in trained) == (split == "train")]
    if not chosen:
        raise BuildError(
            f"{data.name}: the {split} split of {len(found.subjects)} subjects is empty; change data.train_share "
            f"({data.train_share:g})"
        )
    return chosen
