"""Published figures: those of the paper, within what an error can be, under names that methods here have."""

from __future__ import annotations

from spikewright.benchmarks.pulse.baselines import BASELINES
from spikewright.benchmarks.pulse.published import load_energy_claims, load_published


def test_the_rows_of_the_paper() -> None:
    method = load_published()["spiking-physformer"]
    found = {(r.train, r.test): (r.mae, r.mape, r.pearson) for r in method.results}
    assert found == {
        ("UBFC-rPPG", "PURE"): (3.83, 5.70, 0.83),
        ("PURE", "UBFC-rPPG"): (2.80, 2.81, 0.95),
        ("UBFC-rPPG", "MMPD"): (14.15, 16.22, 0.15),
        ("PURE", "MMPD"): (14.57, 16.55, 0.14),
    }
    assert all(r.rmse is None for r in method.results)
    assert "2404.06483" in method.source
    assert "recorded" in method.data


def test_every_method() -> None:
    published = load_published()
    assert BASELINES.keys() <= published.keys()
    for name, method in published.items():
        assert method.title
        tests = [(r.train, r.test) for r in method.results]
        assert len(tests) == len(set(tests)) == (3 if name in {*BASELINES, "ica"} else 4)
        for result in method.results:
            assert result.test in ("PURE", "UBFC-rPPG", "MMPD")
            assert result.train in (None, "PURE", "UBFC-rPPG")
            assert result.train != result.test
            assert 0 < result.mae < 25
            assert 0 < result.mape < 25
            assert result.pearson is None or 0 < result.pearson < 1
            assert result.rmse is None or result.rmse > result.mae


def test_a_result_is_found_by_its_data_sets() -> None:
    published = load_published()
    found = published["physformer"].result("PURE", "UBFC-rPPG")
    assert found is not None
    assert (found.mae, found.rmse) == (12.92, 24.36)
    classical = published["pos"].result("PURE")
    assert classical is not None
    assert classical.mae == 3.67
    assert published["pos"].result("PURE", "UBFC-rPPG") is None


def test_claims_of_energy() -> None:
    found = load_energy_claims()
    assert [(c.value, c.unit) for c in found] == [(12.2, "times"), (12.4, "percent"), (10.1, "percent")]
    assert all("2402.04798" in c.source for c in found)
    assert "v4 says 10.1 %" in found[1].note
