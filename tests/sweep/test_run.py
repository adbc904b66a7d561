"""What a sweep keeps: results, failures, workers that died; and what it does again."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikewright.errors import SweepError
from spikewright.progress import Steps
from spikewright.sweep.run import Cluster, run, stored
from spikewright.sweep.store import Store

from .driving import begun, finish, planned
from .points import LOG, cheap, deadly, failing, figures


@pytest.mark.slow
def test_failures_are_kept_and_run_again_on_request_alone(tmp_path: Path) -> None:
    folder, points = tmp_path / "s", planned((8, 4, 2))
    finish(points, folder, failing)
    eight, four, two = stored(points, Store(folder), lambda text: pytest.fail(text))
    assert (eight.status, four.status, two.status) == ("done", "failed", "done")
    assert four.failure is not None
    assert (four.failure.kind, four.failure.text) == ("ProgramError", "four bits are none")
    assert eight.record is not None
    assert eight.record.figures == figures(8)
    finish(points, folder, cheap)
    assert len(begun(folder)) == 2
    finish(points, folder, cheap, retry_failed=True)
    assert begun(folder)[2:] == [points[1].key]
    assert {r.status for r in stored(points, Store(folder), lambda text: None)} == {"done"}


@pytest.mark.slow
def test_a_worker_that_dies_is_a_failure_of_its_point_alone(tmp_path: Path) -> None:
    points = planned((8, 4, 2, 3, 5))
    finish(points, tmp_path / "s", deadly)
    results = stored(points, Store(tmp_path / "s"), lambda text: pytest.fail(text))
    assert [r.status for r in results] == ["done", "failed", "done", "done", "done"]
    failure = results[1].failure
    assert failure is not None
    assert failure.kind == "WorkerDied"
    assert "--workers" in failure.text


def test_a_damaged_result_is_told_and_measured_again(tmp_path: Path) -> None:
    store, (point,) = Store(tmp_path), planned((8,))
    for content in (
        "{",
        "{}",
        '{"key": "x", "status": "done"}',
        f'{{"key": "{point.key}", "status": "done"}}',
        "\xff",
    ):
        store.points.mkdir(exist_ok=True)
        store.path(point.key).write_text(content)
        with pytest.raises(SweepError, match=rf"{point.key}\.json: damaged .* measured again"):
            store.read(point.key)
        said: list[str] = []
        (result,) = stored([point], store, said.append)
        assert result.status == "missing"
        assert len(said) == 1


def test_a_record_reads_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOG, raising=False)
    store, (point,) = Store(tmp_path), planned((5,))
    record = cheap(point.job()).model_copy(update={"content": point.content})
    store.write(record)
    assert store.read(point.key) == record
    assert not list(tmp_path.rglob("*.tmp"))
    assert [r.record for r in run([point], store, Cluster("tcp://nowhere:1"), Steps.silent())] == [
        record
    ]  # asks nobody
