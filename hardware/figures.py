"""Figures that name their source, and files full of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Value = TypeVar("Value")
Model = TypeVar("Model", bound=BaseModel)
Text = Annotated[str, Field(min_length=1)]


class Figure(BaseModel, Generic[Value]):
    """A figure and where it comes from.

    Attributes
    ----------
    value, unit
        The figure and what it is measured in.
    source : str
        Publication or file that states it.
    checked : bool
        Somebody read the figure in that source; otherwise it is remembered, assumed or derived, as the source
        says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Value
    unit: Text
    source: Text
    checked: bool


def find(name_or_path: str | Path, folder: Path, kind: str) -> Path:
    """The file of a name within a folder, or the file of a path.

    Raises
    ------
    ValueError
        Neither exists; the message lists the names there are.
    """
    known = names(folder)
    if str(name_or_path) in known:
        return folder / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    what = f"{path}: no such file" if path.suffix == ".toml" else f"{kind} {str(name_or_path)!r} is unknown"
    raise ValueError(f"{what}; known: {', '.join(known)}, or the path of a .toml file")


def names(folder: Path) -> list[str]:
    """Names of the files in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read(path: Path, model: type[Model]) -> Model:
    """Read and validate a TOML file.

    Raises
    ------
    ValueError
        The file cannot be read or breaks a rule; the message names file, field, value and what is allowed.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: not a readable TOML file ({error})") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ValueError(f"{path}: {_explain(error, model)}") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first breach in a sentence, and how many more there are."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "missing":
        return f"{field} is missing; add it{more}"
    if first["type"] == "extra_forbidden":
        allowed = model.model_fields if len(first["loc"]) == 1 else Figure.model_fields
        known = f"; known: {', '.join(allowed)}" if len(first["loc"]) <= 2 else ""
        return f"{field} = {first['input']!r} is no field{known}{more}"
    rule = first["msg"].removeprefix("Value error, ")
    # A rule over the whole file has no single value to show.
    given = f" = {first['input']!r}" if first["loc"] else ""
    return f"{field}{given}: {rule[0].lower()}{rule[1:]}{more}"
