"""Published FIDs as data, each with its source and how it was taken."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources


@dataclass(frozen=True)
class Published:
    """What one publication reports.

    Attributes
    ----------
    title, source, protocol : str
        The system, where its figures stand, and how they were taken.
    fid : mapping of str to float
        By data set.
    reduction_percent : mapping of str to float
        By data set: how much lower the FID is than that of ``reduction_against``; empty where none is claimed.
    """

    title: str
    source: str
    protocol: str
    fid: Mapping[str, float]
    reduction_percent: Mapping[str, float] = field(default_factory=dict)
    reduction_against: str = ""


def load_published() -> dict[str, Published]:
    """All publications by the name of their model."""
    text = (resources.files(__package__) / "published_fid.toml").read_text(encoding="utf-8")
    return {name: Published(**table) for name, table in tomllib.loads(text).items()}
