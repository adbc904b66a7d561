"""The page, the plot and the targets of the benchmark beside other simulators, from a small result that was made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spikewright.benchmarks.simulators import __main__ as command
from spikewright.benchmarks.simulators import memory, scaling
from spikewright.benchmarks.simulators.figure import draw
from spikewright.benchmarks.simulators.kernels import matrix_rates
from spikewright.benchmarks.simulators.machine import Machine
from spikewright.benchmarks.simulators.results import Agreement, CaseResult, Results, Row, Spread, as_json
from spikewright.benchmarks.simulators.rivals import LAVA, OURS
from spikewright.benchmarks.simulators.table import describe, number, page, share
from spikewright.benchmarks.simulators.targets import Extra, targets

MACHINE = Machine("Some processor", ("AVX2",), 2, 2, 0.1, "3.11.7", "2.13.0")


def row(network: str, batch: int, simulator: str, seconds: float, ratio: float, label: str = "10 %") -> Row:
    spread = Spread(seconds, 0.9 * seconds, 1.1 * seconds)
    return Row(
        network, network.upper(), label, batch, simulator, spread, Spread(ratio, ratio, ratio), 1e9, 1.0
    )


def made_up(network: str = "cnn", float_ratio: float = 3.0) -> CaseResult:
    rows = (
        row(network, 1, OURS, 1e-4, 1),
        row(network, 64, OURS, 1e-5, 1),
        row(network, 1, LAVA, 0.05, 500),
        row(network, 1, "snntorch", 1e-3, 10),
        row(network, 64, "snntorch", 5e-5, 5),
        row(network, 64, "sinabs", 3e-5, float_ratio),
    )
    agreements = {
        "reference": Agreement(100, 0, "spikes and states"),
        LAVA: Agreement(100, 0, "neuron steps"),
        "snntorch": Agreement(1000, 3, "spike counts", 1.0, {"a": 1.0, "b": 0.99}),
    }
    return CaseResult(network, network.upper(), "10 %", 100, 8, {"a": 0.1}, 5000, rows, agreements)


def results(*cases: CaseResult, extra: Extra | None = None, load: float = 0.1) -> Results:
    versions = {OURS: "0.1.0", LAVA: "0.10.0", "snntorch": "1.0.0", "sinabs": "3.1.3"}
    missing = {"spyx": "not installed; install with: make rivals RIVALS=spyx"}
    found = targets(cases, extra or Extra())
    return Results(replace(MACHINE, load=load), versions, missing, tuple(cases), found, 5)


def test_the_page_of_a_made_up_result() -> None:
    text = page(results(made_up(), made_up("mlp")), "performance.png")
    assert "Some processor (AVX2), 2 cores, 2 threads for every simulator" in text
    assert "| cnn, 10 % | 1 | **100** | 50,000 (500×) | 1,000 (10.0×) | – |" in text
    assert "bit-equal, 100 spikes and states" in text
    assert "99.70 % (first layer 100.00 %)" in text
    assert "did not run: not installed; install with: make rivals RIVALS=spyx" in text
    assert "| 300 times as fast as Lava a step at batch 1, CNN | 500 times at least (10 %) | yes |" in text
    assert "busy" not in text.split("## ")[0]
    assert text.count("<details>") == text.count("</details>") == 2
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_a_busy_machine_is_said_first() -> None:
    text = page(results(made_up(), load=2.0), "performance.png")
    assert "The machine was busy: a load of 2.00" in text.split("## ")[0]
    disturbed = made_up()
    wild = tuple(replace(r, seconds=Spread(1, 1, 9)) for r in disturbed.rows)
    text = page(results(replace(disturbed, rows=wild)), "performance.png")
    assert "In 6 of 6 rows the slowest run took over 1.5 times the median" in text.split("## ")[0]


def test_targets_of_made_up_results() -> None:
    found = {t.name: t for t in results(made_up()).targets}
    assert len(found) == 8
    met = [t.met for t in found.values()]
    assert met == [True, True, True, True, None, None, None, None]
    slow = {t.name: t for t in results(made_up(), made_up("mlp", 0.8)).targets}
    slower = next(t for n, t in slow.items() if n.startswith("faster than every float"))
    assert slower.met is False
    assert "0.80 times at least (Sinabs, mlp, 10 %, batch 64); not faster in 1 of 4 rows" in slower.measured
    extra = Extra(
        {"int8": 1e11, "float32": 5e10},
        dense=5e10,
        chosen=7e11,
        event=2e9,
        fits=[
            scaling.fit("batch", [(1, 1.0), (2, 2.0), (4, 4.0)]),
            scaling.fit("steps", [(1, 1), (2, 3), (4, 9)]),
        ],
        memory=1.5e9,
        images=10_000,
    )
    *_, dense, event, linear, memory_ = targets([made_up()], extra)
    assert not dense.met
    assert dense.measured == (
        "50.0 GMAC/s: 50 % of int8's 100.0, 50 % of the best exact rate, 100.0 (int8); by the kernels that the emulator "
        "chooses, 700.0 GMAC/s of the dense product"
    )
    slow_int8 = targets([], Extra({"int8": 1e9, "float32": 5e10}, dense=2e10))[-4]
    assert slow_int8.met
    assert (
        slow_int8.measured == "20.0 GMAC/s: 20 times int8's 1.0, 40 % of the best exact rate, 50.0 (float32)"
    )
    assert event.met
    assert "batch: power 1.00" in linear.measured
    assert not linear.met
    assert memory_.met
    assert targets([], Extra())[0].met is None


def test_a_share_says_100_only_where_nothing_differs() -> None:
    assert share(1.0) == "100.00 %"
    assert share(1 - 1e-9) == "99.99 %"
    assert describe(Agreement(10, 0, "spike counts", 1.0, {"a": 1.0})) == "equal"
    assert not Agreement(0, 0, "spike counts").equal
    assert [number(x) for x in (0.1234, 9.999, 12.34, 99.99, 12345)] == [
        "0.12",
        "10.0",
        "12.3",
        "100",
        "12,345",
    ]


def test_the_plot_of_a_made_up_result(tmp_path: Path) -> None:
    draw(results(made_up(), made_up("mlp"), made_up("nmnist"), made_up("esvae")), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_figures_are_plain_json() -> None:
    found = json.loads(json.dumps(as_json(results(made_up(), load=float("nan")))))
    assert found["machine"]["load"] is None
    assert found["cases"][0]["rows"][0]["seconds"]["median"] == 1e-4


def test_a_fit_of_a_straight_line_is_one() -> None:
    found = scaling.fit("x", [(1, 3.0), (2, 5.0), (3, 7.0)])
    assert found.straight == pytest.approx(1)
    assert found.power < 1


def test_peak_memory_is_that_of_a_process_of_its_own() -> None:
    assert 5e7 < memory.peak_memory(4) < 5e9


def test_matrix_rates_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikewright.benchmarks.simulators.kernels.LEAST_SECONDS", 1e-4)
    monkeypatch.setattr("spikewright.benchmarks.simulators.kernels.PRODUCTS", ((64, 64, 64),))
    rates = matrix_rates()
    assert len(rates) == 2
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks", "mpl"], "network 'mpl': there are one-layer"),
        (["--simulators", "brian"], "simulator 'brian'"),
        (["--batches", "0"], "at least 1"),
        (["--densities", "120"], "at most 100"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert message in capsys.readouterr().err
