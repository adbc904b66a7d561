"""Writing a report whole or not at all, and reading it back."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from .errors import ReportError
from .markdown import PICTURE_FOLDER, render_markdown
from .page import render_page
from .pictures import Pictures
from .schema import FORMAT, GENERATION_FIELDS, SYSTEM_FIELDS, VERSION, Report

__all__ = ["ReportError", "read_report", "report_json", "write_report"]

JSON_NAME, MARKDOWN_NAME, HTML_NAME = "report.json", "report.md", "report.html"


def write_report(report: Report, pictures: Pictures, folder: Path) -> dict[str, Path]:
    """Write ``report.json``, ``report.md``, ``report.html`` and ``pictures/*.png``.

    All files are first written beside their places and only then renamed, so that a full disk leaves an
    earlier report as it was. ``report.json`` comes last: where it is new, its views are.

    Returns
    -------
    dict of str to Path
        ``json``, ``markdown``, ``html`` and ``pictures/<name>``.

    Raises
    ------
    ReportError
        A number is not finite (the message names its field), or a file cannot be written.
    """
    from .figures import draw  # loads matplotlib

    text = report_json(report)
    drawings = draw(report, pictures)
    contents: dict[str, tuple[Path, bytes]] = {
        f"{PICTURE_FOLDER}/{name}": (folder / PICTURE_FOLDER / f"{name}.png", drawing.png)
        for name, drawing in drawings.items()
    }
    contents["markdown"] = (folder / MARKDOWN_NAME, render_markdown(report, tuple(drawings)).encode())
    contents["html"] = (folder / HTML_NAME, render_page(report, drawings).encode())
    contents["json"] = (folder / JSON_NAME, text.encode())
    _replace_all(dict(contents.values()))
    return {role: path for role, (path, _) in contents.items()}


def report_json(report: Report) -> str:
    """Encode a report as the text of ``report.json``.

    Raises
    ------
    ReportError
        A number is NaN or infinite, or a free-form field holds something that JSON has no word for.
    """
    # Looked for before encoding, which would turn those of free-form fields into null.
    for field, number in _numbers(report.model_dump(by_alias=True), ""):
        if not math.isfinite(number):
            raise ReportError(
                f"{JSON_NAME}: {field} is {number}; JSON has no such number, and a report with it is wrong: "
                "correct what computed it"
            )
    try:
        data = report.model_dump(mode="json", by_alias=True, exclude=_absent(report))
    except PydanticSerializationError as error:
        raise ReportError(
            f"{JSON_NAME}: cannot be encoded ({error}); use plain numbers, strings, lists and tables in "
            "`recipe` and `baseline.nodes`"
        ) from None
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _absent(report: Report) -> dict[str, Any]:
    """Fields that a report of its kind of system does not have."""
    absent: dict[str, Any] = {field: True for field in SYSTEM_FIELDS if getattr(report, field) is None}
    generation = report.generation
    if generation is not None:
        fields = GENERATION_FIELDS["Generation"]
        return absent | {
            "generation": {field: True for field in fields if getattr(generation, field) is None}
        }
    layer = dict.fromkeys(GENERATION_FIELDS["Layer"], True)
    return absent | {"layers": {"__all__": layer}, **dict.fromkeys(GENERATION_FIELDS["Report"], True)}


def read_report(path: Path) -> Report:
    """Read and validate ``report.json``.

    Raises
    ------
    ReportError
        The file is missing, damaged, or no report of this version; the message names file, field and remedy.
    """
    remedy = "make the report anew"
    try:
        data = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
    except FileNotFoundError:
        raise ReportError(f"{path}: no such report; {remedy} or correct the path") from None
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: damaged, not JSON ({error}); {remedy}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ReportError(f"{path}: field `format` is not {FORMAT!r}, so it is no report; pass a {JSON_NAME}")
    if data.get("version") != VERSION:
        found = data.get("version")
        raise ReportError(
            f"{path}: field `version` is {found!r}, this release reads {VERSION}; use the one that wrote it"
        )
    try:
        return Report.model_validate(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        place = f"field `{field}`: " if field else ""  # what is wrong with the whole names its fields itself
        more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise ReportError(f"{path}: {place}{first['msg']}{more}; {remedy}") from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _numbers(value: Any, field: str) -> Iterator[tuple[str, float]]:
    """Every float and its dotted place."""
    if isinstance(value, float):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{field}[{index}]")


def _replace_all(contents: Mapping[Path, bytes]) -> None:
    staged: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            staged[path].write_bytes(content)
        for path, temporary in staged.items():
            os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise ReportError(
            f"{path}: cannot be written ({reason}); free space or choose another folder"
        ) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
