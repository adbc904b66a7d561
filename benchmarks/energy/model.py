"""Energy models as data: figures with sources, and what each counted thing takes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...hardware.figures import Figure, Text, find, names, read
from .activity import Counted

FOLDER = Path(__file__).parent

Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: How often each figure is paid; bytes for a figure in pJ/byte.
Cost: TypeAlias = Annotated[dict[str, Positive], Field(min_length=1)]
UNITS = ("pJ", "pJ/byte")


class EnergyError(Exception):
    """An energy model that cannot be used; the message names the file, the field and what is allowed."""


class Term(BaseModel):
    """Energy of something counted: its number times the sum of its figures.

    Attributes
    ----------
    per : str
        What is counted.
    cost : dict of str to float
        Figures that each of them takes, and how many times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per: Counted
    cost: Cost


class Part(Term):
    """A contribution to the spiking network's energy.

    Attributes
    ----------
    name : str
        Printed name.
    place : str
        ``chip`` or ``host``.
    """

    name: Text
    place: Literal["chip", "host"]


class EnergyModel(BaseModel):
    """What operations cost.

    Attributes
    ----------
    name, title : str
        Short and printed name.
    assumptions : tuple of str
        What the model takes for granted or leaves out, in sentences.
    figures : dict of str to Figure
        Energies in pJ, or pJ a byte.
    parts : tuple of Part
        Contributions to the spiking network's energy, chip and host.
    ann_fp32, ann_int8 : tuple of Term
        The ANN's energy in either format; no int8 terms where the model does not price it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    title: Text
    assumptions: tuple[Text, ...]
    figures: dict[str, Figure[Positive]]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    ann_fp32: Annotated[tuple[Term, ...], Field(min_length=1)]
    ann_int8: tuple[Term, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> EnergyModel:
        for name, figure in self.figures.items():
            if figure.unit not in UNITS:
                raise ValueError(f"figures.{name}.unit = {figure.unit!r}, allowed are {' and '.join(UNITS)}")
        for term in self._terms():
            for name in term.cost:
                if name not in self.figures:
                    raise ValueError(f"cost of {term.per} names {name!r}; figures: {', '.join(self.figures)}")
        printed = [part.name for part in self.parts]
        if len(set(printed)) < len(printed):
            raise ValueError("two parts share a name; give each its own")
        return self

    def _terms(self) -> Iterator[Term]:
        yield from self.parts
        yield from self.ann_fp32
        yield from self.ann_int8

    def joule(self, term: Term) -> float:
        """Energy of one of what a term counts."""
        return 1e-12 * sum(self.figures[name].value * times for name, times in term.cost.items())

    @property
    def sources(self) -> tuple[str, ...]:
        """Each source with the figures taken from it; figures that nothing uses are left out."""
        used = {name for term in self._terms() for name in term.cost}
        cited: dict[tuple[str, bool], list[str]] = {}
        for name, figure in self.figures.items():
            if name in used:
                text = f"{name.replace('_', ' ')} {figure.value:g} {figure.unit}"
                cited.setdefault((figure.source, figure.checked), []).append(text)
        return tuple(
            f"{source}: {', '.join(figures)}{'' if checked else ' (not re-checked)'}"
            for (source, checked), figures in cited.items()
        )


def load_model(name_or_path: str | Path) -> EnergyModel:
    """An energy model by name, or from a TOML file of one's own.

    Raises
    ------
    EnergyError
        Nobody knows the name, or the file breaks a rule.
    """
    try:
        return read(find(name_or_path, FOLDER, "energy model"), EnergyModel)
    except ValueError as error:
        raise EnergyError(str(error)) from None


def load_models(own: Iterable[str | Path] = ()) -> dict[str, EnergyModel]:
    """The models that come with the package, by name, and those of one's own files; one's own replace others of their name.

    Raises
    ------
    EnergyError
        A file is missing or breaks a rule.
    """
    found = {name: load_model(name) for name in names(FOLDER)}
    return found | {model.name: model for model in map(load_model, own)}
