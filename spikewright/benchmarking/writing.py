"""The page over all models, from what each of them left behind."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from .. import __version__
from ..benchmarks.overview.figure import comparison
from ..benchmarks.overview.markdown import render_markdown
from ..benchmarks.overview.page import embedded, overview_json, render_page
from ..benchmarks.overview.schema import Entry, Overview
from ..benchmarks.overview.schema_file import schema_text
from ..benchmarks.overview.words import summary
from ..errors import BuildError
from ..export.whole_file import whole_file
from .budget import FULL_WORDS, WORDS
from .commands import anew, whole
from .runs import LOG, read_result
from .zoo import Model

PAGE, RESULTS, MARKDOWN, SCHEMA = "index.html", "results.json", "results.md", "results.schema.json"


def entries_of(models: Sequence[Model], folder: Path, *, full: bool, lava: bool) -> list[Entry]:
    """Every model with its result, or with the reason why there is none and the remedy."""
    return [
        _entry(number, model, folder, anew(model.name, folder, full=full, lava=lava))
        for number, model in enumerate(models, 1)
    ]


def _entry(number: int, model: Model, folder: Path, command: str) -> Entry:
    def entry(status: str, words: str = "", **found: object) -> Entry:
        values = {"seconds": None, "cpu_seconds": None, "result": None} | found
        return Entry.model_validate(
            {"number": number, "name": model.name, "status": status, "words": words, "command": command, **values}
        )  # fmt: skip

    if model.unit is None:
        return entry(
            "no weights",
            f"No weights are shipped ({model.missing}); `spikewright deploy {model.name}` trains them and reports.",
        )
    found = read_result(folder, model.unit)
    if found is None:
        return entry("not run", "Not measured yet with this code; the command measures it.")
    if found["status"] != "done":
        return entry("failed", f"{found['words']} ({folder / model.name / LOG} has all that was said)")
    try:
        return entry("done", **{key: found[key] for key in ("seconds", "cpu_seconds", "result")})
    except (KeyError, ValidationError) as error:
        raise BuildError(f"{folder / model.name}: its result is damaged ({error}); run `{command}`") from None


def overview_of(entries: Sequence[Entry], folder: Path, *, full: bool, lava: bool) -> Overview:
    """All models and what comes of them."""
    return Overview(
        tool=f"spikewright {__version__}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=whole(folder, full=full, lava=lava),
        budget=FULL_WORDS if full else WORDS,
        summary=summary(entries),
        models=list(entries),
    )


def write_overview(overview: Overview, folder: Path) -> dict[str, Path]:
    """Write page, data, schema and Markdown, each whole; the data come last."""
    pictures = {
        (entry.name, picture.name): embedded(folder / picture.file)
        for entry in overview.models
        if entry.result is not None
        for picture in entry.result.pictures
    }
    plot = comparison(overview)
    contents = {
        PAGE: render_page(overview, pictures, plot),
        MARKDOWN: render_markdown(overview),
        SCHEMA: schema_text(),
        RESULTS: overview_json(overview),
    }
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, text in contents.items():
            with whole_file(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BuildError(
            f"{folder}: cannot be written ({os.strerror(error.errno or 0)}); free space or choose another folder with --out"
        ) from error
    return {name: folder / name for name in contents}
