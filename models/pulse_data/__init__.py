"""Face video with a pulse: synthetic, from public data sets, or from a file, and cut into clips for a network."""

from .box import Box
from .clips import CausalNormaliser, clips, diff_label, diff_normalised, resample, running_normalised
from .datasets import PULSE_SETS, PulseSet, open_dataset
from .export_ubfc import export_ubfc
from .faces import crop, cropped, face_box
from .recording import Recording
from .synthetic import face_region, generate
from .video import frames_of, read_video, write_video

__all__ = [
    "PULSE_SETS",
    "Box",
    "CausalNormaliser",
    "PulseSet",
    "Recording",
    "clips",
    "crop",
    "cropped",
    "diff_label",
    "diff_normalised",
    "export_ubfc",
    "face_box",
    "face_region",
    "frames_of",
    "generate",
    "open_dataset",
    "read_video",
    "resample",
    "running_normalised",
    "write_video",
]
