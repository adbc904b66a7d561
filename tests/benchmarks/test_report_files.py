"""The report's files: JSON and its schema, writing whole or not at all, reading back."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from spikewright.benchmarks.report.captions import CAPTIONS
from spikewright.benchmarks.report.pictures import Pictures
from spikewright.benchmarks.report.schema_file import SCHEMA_PATH, json_schema, schema_text
from spikewright.benchmarks.report.write import ReportError, read_report, report_json, write_report

from .extremes import EXTREMES
from .reports import blob_images, make_pictures, make_report, report_data

NOTHING = Pictures(np.zeros((0, 1, 4, 4), np.float32), {}, {})
BARE: dict[str, Any] = {"layers": [], "energy": {}, "equivalence__quantisation": []}


@pytest.mark.parametrize("name", EXTREMES)
def test_json_round_trips(name: str, tmp_path: Path) -> None:
    report = make_report(**EXTREMES[name])
    paths = write_report(report, NOTHING, tmp_path)
    assert read_report(paths["json"]) == report
    data = json.loads(paths["json"].read_text("utf-8"))
    assert "float" in data["quality"]
    assert "float_" not in data["quality"]
    jsonschema.Draft202012Validator(json_schema()).validate(data)


def test_schema_file_is_current() -> None:
    assert SCHEMA_PATH.read_text("utf-8") == schema_text(), (
        "run python -m spikewright.benchmarks.report.schema_file"
    )
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"format", "version", "layers"} <= set(schema["required"])
    validator = jsonschema.Draft202012Validator(schema)
    written = json.loads(report_json(make_report()))
    assert validator.is_valid(written)
    del written["quality"]
    assert not validator.is_valid(written)
    assert not validator.is_valid(report_data() | {"version": 2})
    assert not validator.is_valid(report_data() | {"surprise": 1})


def test_write_puts_every_file_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    paths = write_report(make_report(), make_pictures(2, 3, 8, 12), folder)
    assert {p for p in folder.rglob("*") if p.is_file()} == set(paths.values())
    assert [f"pictures/{name}" in paths for name in CAPTIONS] == [True] * len(CAPTIONS)
    for name in CAPTIONS:
        assert paths[f"pictures/{name}"].read_bytes().startswith(b"\x89PNG")
        assert f"pictures/{name}.png" in paths["markdown"].read_text("utf-8")
    assert paths["html"].read_text("utf-8").count("data:image/png;base64,") == len(CAPTIONS)
    again = write_report(make_report(), make_pictures(2, 3, 8, 12), tmp_path / "again")
    for role, path in paths.items():
        assert path.read_bytes() == again[role].read_bytes(), role


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("quality__float__fad_samples", "quality.float.fad_samples"),
        ("energy__mac45__parts__host", "energy.mac45.parts.host"),
        ("recipe__train__learning_rate", "recipe.train.learning_rate"),
        ("recipe__train__loss_weights", "recipe.train.loss_weights[1]"),
    ],
)
def test_numbers_that_are_none_are_refused(path: str, field: str, value: float, tmp_path: Path) -> None:
    report = make_report(**{path: [1.0, value] if path.endswith("weights") else value})
    with pytest.raises(ReportError, match=re.escape(f"report.json: {field} is {value}")):
        write_report(report, NOTHING, tmp_path)
    assert not list(tmp_path.iterdir())


def test_recipe_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ReportError, match="plain numbers"):
        report_json(make_report(recipe={"array": np.zeros(2)}))


@pytest.mark.parametrize("after", [0, 1, 2, 4])
@pytest.mark.parametrize("step", ["write", "rename"])
def test_full_disk_leaves_no_half_written_file(
    step: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write_report(make_report(seed=1, **BARE), make_pictures(1, 1, 4, 4), tmp_path)
    before = {path: path.read_bytes() for path in old.values()}
    calls = iter(range(99))
    write, rename = Path.write_bytes, os.replace

    def full_write(self: Path, data: bytes) -> int:
        if next(calls) < after:
            return write(self, data)
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def full_rename(source: Path, target: Path) -> None:
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(Path, "write_bytes", full_write)
        else:
            patch.setattr(os, "replace", full_rename)
        with pytest.raises(ReportError, match=r"cannot be written \(No space left on device\); free space"):
            write_report(make_report(seed=2, **BARE), make_pictures(1, 1, 4, 4), tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(before)
    if step == "write":
        assert {path: path.read_bytes() for path in before} == before
    assert read_report(old["json"]).seed == 1


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(ReportError, match=r"taken.*cannot be written"):
        write_report(make_report(), NOTHING, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def damaged(**changes: Any) -> str:
    return json.dumps(report_data() | changes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such report"),
        ("", "damaged, not JSON"),
        (damaged()[:-40], "damaged, not JSON"),
        ("\udcff", "damaged, not JSON"),
        (damaged(seed=math.nan), "NaN is no JSON number"),
        ("[1, 2]", "field `format`"),
        ('{"format": "other"}', "field `format`"),
        (damaged(version=2), "field `version` is 2"),
        (damaged(seed="7"), "field `seed`"),
        (damaged(surprise=1), "field `surprise`"),
        (damaged(quality={}), "field `quality.ann`: Field required and 6 more"),
    ],
)
def test_reading_what_is_no_report(content: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content, "utf-8", errors="surrogateescape")
    with pytest.raises(ReportError) as caught:
        read_report(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert re.search(r"make the report anew|pass a report.json|use the one that wrote it", message)


def test_reading_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        read_report(tmp_path)


def test_pictures_that_are_missing_leave_no_trace(tmp_path: Path) -> None:
    images = blob_images(1, 1, 4, 4)
    paths = write_report(make_report(), Pictures(images, {"ann": images}, {}), tmp_path)
    assert "pictures/reconstructions" in paths
    assert "pictures/generated" not in paths
    text = paths["markdown"].read_text("utf-8")
    assert "pictures/generated.png" not in text
    assert "pictures/rasters.png" not in text
