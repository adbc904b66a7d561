"""The report as one HTML file: pictures inside, no scripts, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from . import denoising_tables, generation_tables, pulse_tables, quality_tables, tables, units
from .captions import Drawing
from .checks import checks
from .facts import facts
from .names import printable
from .schema import Report
from .terms import QUESTIONS, terms_of

TEMPLATE = "page.html.j2"


def render_page(report: Report, drawings: Mapping[str, Drawing]) -> str:
    """Render the page.

    Parameters
    ----------
    drawings : mapping of str to Drawing
        Pictures by name, embedded as they are; one that is missing leaves no gap.
    """
    # Everything is escaped by default; the template marks nothing as safe.
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: files(__package__).joinpath(name).read_text("utf-8")),
    )
    environment.filters["base64"] = lambda png: base64.b64encode(png).decode("ascii")
    environment.filters["printable"] = printable
    return environment.get_template(TEMPLATE).render(
        report=report,
        drawings=drawings,
        answers=[(question, getattr(report.answers, key)) for key, question in QUESTIONS.items()],
        checks=checks(report),
        terms=terms_of(report),
        facts=facts(report),
        tables=tables,
        quality_tables=quality_tables,
        generation_tables=generation_tables,
        denoising_tables=denoising_tables,
        pulse_tables=pulse_tables,
        units=units,
    )
