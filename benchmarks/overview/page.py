"""The page over all models as one HTML file: pictures inside, no scripts, nothing fetched.

Every figure stands in a ``<data>`` element and every sentence of the data in a ``<span>``, whose ``data-path`` says where
in ``results.json`` it is from; the page has no other figures.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ..report import units
from ..report.names import printable
from ..report.tables import DASH
from ..report.terms import QUESTIONS
from .figure import Comparison
from .schema import Entry, Overview

TEMPLATE = "page.html.j2"
WIDTH = 1200  # pixels of an embedded picture at most
#: Pictures that a section shows at once; the others are folded.
OPEN = ("generated", "reconstructions", "waves", "heart_rates", "energy")


def overview_json(overview: Overview) -> str:
    """The text of ``results.json``."""
    data = overview.model_dump(mode="json", by_alias=True)
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def embedded(path: Path) -> str:
    """A picture file as a data URI, no wider than a page needs."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    if small.width > WIDTH:
        small = small.resize((WIDTH, round(small.height * WIDTH / small.width)), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, format="webp", quality=82, method=4)
    return uri(buffer.getvalue(), "webp")


def uri(content: bytes, kind: str) -> str:
    """A picture as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


class Bound:
    """Shows values of the data with the place that they are from."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    def value(self, path: str) -> Any:
        """The value at a dotted path."""
        found: Any = self._data
        for key in path.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found

    def figure(self, path: str, form: Callable[[Any], str], missing: str = DASH) -> Markup:
        """A number in a given form, or a dash where there is none."""
        value = self.value(path)
        if value is None:
            return Markup('<span data-path="{}" data-none="">{}</span>').format(path, missing)
        return Markup('<data value="{}" data-path="{}">{}</data>').format(
            json.dumps(value), path, form(value)
        )

    def text(self, path: str) -> Markup:
        """Words as they stand."""
        return Markup('<span data-path="{}">{}</span>').format(path, printable(self.value(path)))


def render_page(overview: Overview, pictures: Mapping[tuple[str, str], str], plot: Comparison | None) -> str:
    """Render the page.

    Parameters
    ----------
    pictures : mapping
        Data URIs by name of the model and of the picture.
    plot : Comparison or None
        Energy against quality over all models; None where nothing has a twin.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8")),
    )
    bound = Bound(overview.model_dump(mode="json", by_alias=True))
    return environment.get_template(TEMPLATE).render(
        overview=overview,
        entries=[(f"models.{index}", entry) for index, entry in enumerate(overview.models)],
        figure=bound.figure,
        text=bound.text,
        pictures=pictures,
        opened=OPEN,
        plot=plot,
        titles=_energy_titles(overview),
        questions=QUESTIONS,
        units=units,
        percent=units.signed_percent,
        ratio=_ratio,
        source=uri,
        steps=units.amount,
    )


def _ratio(value: float) -> str:
    return f"{units.significant(value, '.3g')} ×"


def _energy_titles(overview: Overview) -> list[tuple[str, str]]:
    """Every energy model by the place of its title, in the order of the first result that has any."""
    found: dict[str, str] = {}
    for index, entry in enumerate(overview.models):
        for row, energy in enumerate(_rows(entry)):
            found.setdefault(energy, f"models.{index}.result.energy.{row}.title")
    return list(found.items())


def _rows(entry: Entry) -> list[str]:
    return [] if entry.result is None else [row.model for row in entry.result.energy]
