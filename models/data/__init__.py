"""Image data sets: load them by name and prepare them for a network."""

from .errors import BadFileError, DataError, MissingFileError, UnknownDatasetError
from .idx import read_idx
from .images import Images
from .load import load_images
from .prepare import Fit, prepare
from .registry import DATASETS, SPLITS, DatasetInfo, dataset_info

__all__ = [
    "DATASETS",
    "SPLITS",
    "BadFileError",
    "DataError",
    "DatasetInfo",
    "Fit",
    "Images",
    "MissingFileError",
    "UnknownDatasetError",
    "dataset_info",
    "load_images",
    "prepare",
    "read_idx",
]
