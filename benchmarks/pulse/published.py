"""Published heart rate errors and energy claims as data, each with its source; all on other data than ours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Result:
    """Errors of a method on one data set, over its videos.

    Attributes
    ----------
    test : str
        The data set judged on.
    mae, mape : float
        In bpm, and in percent.
    train : str or None
        The data set trained on; None for methods without training.
    pearson, rmse : float or None
        Correlation of rates, and root mean square error in bpm, where they are given.
    """

    test: str
    mae: float
    mape: float
    train: str | None = None
    pearson: float | None = None
    rmse: float | None = None


@dataclass(frozen=True)
class Published:
    """What is printed of one method.

    Attributes
    ----------
    title, source, data : str
        The method, where its figures stand, and what they were taken on.
    results : tuple of Result
    note : str
        What to mind; may be empty.
    """

    title: str
    source: str
    data: str
    results: tuple[Result, ...]
    note: str = ""

    def result(self, test: str, train: str | None = None) -> Result | None:
        """The result on a data set after training on another, or None where there is none."""
        return next((r for r in self.results if (r.test, r.train) == (test, train)), None)


@dataclass(frozen=True)
class EnergyClaim:
    """One claim of an energy saving.

    Attributes
    ----------
    what, against : str
        What saves, and compared with what.
    value : float
    unit : str
        "times" or "percent".
    source, note : str
    """

    what: str
    value: float
    unit: str
    against: str
    source: str
    note: str


def load_published() -> dict[str, Published]:
    """All methods by name; classical ones under their names in :data:`.baselines.BASELINES`."""
    tables = _tables()
    source, data = tables["source"]["reference"], tables["source"]["data"]
    return {
        name: Published(
            method["title"],
            source,
            data,
            tuple(Result(**result) for result in method["results"]),
            method.get("note", ""),
        )
        for name, method in tables["methods"].items()
    }


def load_energy_claims() -> list[EnergyClaim]:
    """Spiking-PhysFormer's claims of energy, in order of their publication."""
    return [EnergyClaim(**claim) for claim in _tables()["energy"]]


def _tables() -> Mapping[str, Any]:
    text = (resources.files(__package__) / "published.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
