"""What is measured, within which budget, and what makes a result another one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from spikewright.benchmarking import command, zoo
from spikewright.benchmarking.budget import LIMITS, budgeted, rows
from spikewright.benchmarking.runs import RESULT, Unit, finished
from spikewright.benchmarking.writing import PAGE, RESULTS
from spikewright.benchmarks.overview.result import result_of
from spikewright.errors import BuildError
from spikewright.models.classifier_recipe import CLASSIFIERS
from spikewright.recipe import load_recipe, zoo_names
from spikewright.workspace import SYSTEMS, Workspace

from ..benchmarks.reports import make_report
from ..cli.conftest import spikewright


def test_every_model_of_the_zoo_is_there_with_or_without_weights(tmp_path: Path) -> None:
    models = zoo.models(False, True, tmp_path)
    assert sorted(model.name for model in models) == sorted([*zoo_names(), *CLASSIFIERS])
    by_name = {model.name: model for model in models}
    assert by_name["esvae-digits"].unit is not None
    assert by_name["esvae-cifar10"].unit is None
    assert "snn" in by_name["esvae-cifar10"].missing


def test_the_key_holds_what_decides_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(full: bool = False, lava: bool = True, name: str = "esvae-mnist") -> str:
        unit = next(m.unit for m in zoo.models(full, lava, tmp_path) if m.name == name)
        assert unit is not None
        return unit.key

    assert key() == key()
    assert len({key(), key(full=True), key(lava=False), key(name="esvae-digits")}) == 4
    before = key()
    monkeypatch.setattr(zoo, "code", lambda: "other sources")
    assert key() != before


def test_views_decide_nothing_and_everything_else_does() -> None:
    sources = zoo.sources()
    assert "benchmarks/energy/loihi1.toml" in sources
    assert "spikewright/benchmarking/measure.py" not in sources  # named relative to its room
    assert "benchmarking/measure.py" in sources
    assert not {"benchmarks/overview/page.html.j2", "benchmarks/overview/page.py"} & set(sources)


@pytest.mark.parametrize("name", zoo_names())
def test_a_budget_is_never_more_than_the_recipe(name: str) -> None:
    own, limited = load_recipe(name), budgeted(name, full=False)
    for key, (most, _) in LIMITS.items():
        if not hasattr(own.deploy, key):
            continue
        full, used = getattr(own.deploy, key), getattr(limited.deploy, key)
        if key in ("test_images", "generated_images") and own.model.kind == "spiking-physformer":
            assert used == full  # means nothing there
        else:
            assert used <= most
            assert full is None or used <= full
    assert budgeted(name, full=True) == own
    for trained in SYSTEMS[own.model.kind]:
        assert limited.decides(trained) == own.decides(trained)
    for row in rows(name, limited, 10_000):
        assert row.used <= row.full
    repeated = {row.what: (row.used, row.full) for row in rows(name, limited, 10_000)}
    if name == "spiking-diffusion-mnist":
        assert repeated["evaluations of such an image"] == (8, 67)  # 31 and six refinements of six each


def test_a_deployment_sees_as_many_test_images_as_its_recipe_says(tmp_path: Path) -> None:
    whole = Workspace(load_recipe("esvae-digits"), tmp_path).test_images
    some = Workspace(load_recipe("esvae-digits", {"deploy.test_images": 7}), tmp_path).test_images
    assert len(whole) == 360
    assert (some == whole[:7]).all()
    assert len(some) == 7


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="mnist: no model of the zoo; there are esvae-cifar10"):
        zoo.chosen(zoo.models(False, True, tmp_path), ["mnist"])


CHEAP = """
import json, sys
from pathlib import Path
from spikewright.benchmarking.runs import end_with_parent, write_result
end_with_parent()
write_result(Path(sys.argv[1]), sys.argv[2], **json.loads(sys.argv[3]))
"""


def cheap(folder: Path, name: str, **result: object) -> zoo.Model:
    arguments = (str(folder / name), f"key of {name}", json.dumps(result))
    return zoo.Model(name, Unit(name, f"key of {name}", (sys.executable, "-c", CHEAP, *arguments)))


def test_a_failure_stays_on_the_page_and_in_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = result_of(make_report(), budget=[], commands=[], pictures=[], page=None)
    done = {
        "status": "done",
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "result": good.model_dump(mode="json", by_alias=True),
    }
    zoo_now = [
        cheap(tmp_path, "good", **done),
        cheap(tmp_path, "bad", status="failed", words="recordings are missing; fetch them"),
        zoo.Model("bare", None, "snn"),
    ]
    monkeypatch.setattr(command, "models", lambda *_: zoo_now)
    settings = {"jobs": 2, "anew": False, "full": False, "lava": True}
    assert not command.run_benchmark([], tmp_path, **settings)
    assert "recordings are missing; fetch them" in capsys.readouterr().err
    statuses = {m["name"]: m["status"] for m in json.loads((tmp_path / RESULTS).read_text())["models"]}
    assert statuses == {"good": "done", "bad": "failed", "bare": "no weights"}
    page = (tmp_path / PAGE).read_text()
    assert "recordings are missing; fetch them" in page
    # Only what was asked for decides the exit status; what has finished is kept.
    stamp = (tmp_path / "good" / RESULT).stat().st_mtime_ns
    assert command.run_benchmark(["good"], tmp_path, **settings)
    assert (tmp_path / "good" / RESULT).stat().st_mtime_ns == stamp


def test_a_damaged_result_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "models", lambda *_: [cheap(tmp_path, "odd", status="done", seconds=1.0)])
    with pytest.raises(
        BuildError, match=r"odd: its result is damaged .* run `spikewright benchmark odd --anew"
    ):
        command.run_benchmark([], tmp_path, jobs=1, anew=False, full=False, lava=True)


@pytest.mark.slow
def test_a_real_model_from_command_line_to_page(tmp_path: Path) -> None:
    out = tmp_path / "page"
    done = spikewright("benchmark", "esvae-digits", "--no-lava", "--out", out, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    data = json.loads((out / RESULTS).read_text("utf-8"))
    entry = next(m for m in data["models"] if m["name"] == "esvae-digits")
    own = json.loads((out / "esvae-digits" / "report.json").read_text("utf-8"))
    result = entry["result"]
    assert result["quality"][0]["chip"] == own["quality"]["int8"]["reconstruction_mse"]
    assert {row["model"]: row["snn_joule"] for row in result["energy"]} == {
        name: row["snn_joule"] for name, row in own["energy"].items()
    }
    assert result["quality"][0]["samples"] == 360
    assert {picture["name"] for picture in result["pictures"]} >= {"cores", "divergence", "energy", "rasters"}
    for picture in result["pictures"]:
        assert (out / picture["file"]).stat().st_size > 1000
    unit = next(m.unit for m in zoo.models(False, False, out) if m.name == "esvae-digits")
    assert unit is not None
    assert finished(out, unit)
    again = spikewright("benchmark", "esvae-digits", "--no-lava", "--out", out, cwd=tmp_path)
    assert "kept esvae-digits" in again.stderr
    assert os.path.getsize(out / PAGE) > 100_000
