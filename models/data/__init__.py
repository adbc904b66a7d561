"""Image and event data sets: load them by name and prepare them for a network."""

from .errors import BadFileError, DataError, MissingFileError, UnknownDatasetError
from .events import SpikeFrames
from .idx import read_idx
from .images import Images
from .load import load_images
from .load_events import EVENT_SETS, EVENT_SPLITS, load_events
from .prepare import Fit, prepare
from .registry import DATASETS, SPLITS, DatasetInfo, dataset_info

__all__ = [
    "DATASETS",
    "EVENT_SETS",
    "EVENT_SPLITS",
    "SPLITS",
    "BadFileError",
    "DataError",
    "DatasetInfo",
    "Fit",
    "Images",
    "MissingFileError",
    "SpikeFrames",
    "UnknownDatasetError",
    "dataset_info",
    "load_events",
    "load_images",
    "prepare",
    "read_idx",
]
