"""The benchmark beside other simulators: its networks, its workers, its page. Nothing here judges a time."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikewright.benchmarks.simulators import __main__ as command
from spikewright.benchmarks.simulators import client, lava_time, measure, rivals
from spikewright.benchmarks.simulators.agreement import against_reference, of_counts
from spikewright.benchmarks.simulators.builder import GRID, Builder
from spikewright.benchmarks.simulators.case import Case, activity, build_case
from spikewright.benchmarks.simulators.client import Worker, WorkerError
from spikewright.benchmarks.simulators.measure import in_turns, measure_case
from spikewright.benchmarks.simulators.networks import NETWORKS, Entry, esvae
from spikewright.benchmarks.simulators.results import CaseResult, Results
from spikewright.benchmarks.simulators.rivals import LAVA, OURS, RIVALS, available
from spikewright.benchmarks.simulators.table import describe, page
from spikewright.benchmarks.simulators.workers.network import Network, load, save
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.lava import available as lava_available
from spikewright.models.esvae import SIZES
from tests.benchmarks.test_simulators_page import results

WORKERS = Path(rivals.__file__).parent / "workers"


def tiny(beta: float = 0.875) -> Network:
    """Every kind of layer but those of ESVAE, over an image that is not square, with a skip."""
    build = Builder((2, 6, 8), 3)
    build.conv(4, 3, padding=1)
    skip = build.lif(beta)
    build.conv(4, 3, padding=1)
    build.plus(build.last, skip)
    build.lif(beta)
    build.pool(2)
    build.linear(5)
    build.lif(beta)
    return build.network("tiny", 6)


TINY = Entry("Tiny, 2x6x8, 6 steps", tiny)
SMALL = {
    **{key: (entry, 0.05) for key, entry in NETWORKS.items() if key != "esvae"},
    "esvae": (Entry("ESVAE, small", lambda: esvae(SIZES["XS"])), None),
}


@pytest.fixture(scope="module")
def case() -> Case:
    return build_case("tiny", TINY, 0.2, 8)


@pytest.fixture
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "NETWORKS", {"tiny": TINY})


@pytest.mark.parametrize("key", SMALL)
def test_every_layer_of_every_network_spikes_at_a_sensible_rate(key: str) -> None:
    entry, density = SMALL[key]
    built = build_case(key, entry, density, 4)
    found = activity(built, Emulator(built.program).run(built.inputs))
    assert len(found.rates) == len(built.network.spiking) > 0
    assert all(0.02 <= rate <= 0.2 for rate in found.rates.values()), found.rates
    assert found.operations > 0


def test_the_networks_are_the_sizes_that_the_page_states() -> None:
    assert NETWORKS["cnn"].build().neurons == 21_952
    nmnist = NETWORKS["nmnist"].build()
    assert [layer.shape for layer in nmnist.spiking] == [(16, 16, 16), (16, 16, 16), (8, 8, 8), (256,), (10,)]
    assert {layer.beta for layer in nmnist.spiking} == {1.0}
    paper = NETWORKS["esvae"].build()
    assert [layer.shape[0] for layer in paper.spiking] == [32, 64, 128, 256, 32, 256, 128, 64, 32, 32]
    height, width = NETWORKS["residual"].build().input_shape[1:]
    assert height != width


def test_eight_bits_hold_the_weights_exactly(case: Case) -> None:
    for layer in case.network.layers:
        group = next((g for g in case.program.synapses if g.name == layer.name), None)
        if group is not None and layer.kind == "conv":
            assert np.array_equal(group.map.weight, np.rint(layer.weight / GRID))
    assert {g.name for g in case.program.synapses} >= {"conv1", "conv2"}


def test_a_network_survives_its_file(case: Case, tmp_path: Path) -> None:
    save(tmp_path / "network.npz", case.network, case.samples)
    network, inputs = load(tmp_path / "network.npz")
    assert np.array_equal(inputs, case.samples)
    for ours, theirs in zip(case.network.layers, network.layers, strict=True):
        assert (ours.name, ours.kind, ours.inputs, ours.shape, ours.threshold, ours.beta) == (
            theirs.name,
            theirs.kind,
            theirs.inputs,
            theirs.shape,
            theirs.threshold,
            theirs.beta,
        )
        assert (ours.weight is None) == (theirs.weight is None)
        if ours.weight is not None:
            assert np.array_equal(ours.weight, theirs.weight)


@pytest.mark.parametrize(
    "name",
    [
        # Those in environments of their own compile for long, or load for long.
        n if rival.module else pytest.param(n, marks=pytest.mark.slow)
        for n, rival in RIVALS.items()
        if n not in (OURS, LAVA, "nengo-loihi")
    ],
)
def test_simulators_agree_on_the_network(name: str, tmp_path: Path) -> None:
    usable, reason = available(RIVALS[name])
    if not usable:
        pytest.skip(reason)
    worker = Worker(RIVALS[name], 1)
    try:
        for kind, entry in (
            ("leaky", TINY),
            ("no leak", Entry("", lambda: tiny(1.0))),
            ("image", SMALL["esvae"][0]),
        ):
            built = build_case(kind, entry, None if kind == "image" else 0.2, 8)
            save(tmp_path / "network.npz", built.network, built.samples)
            worker.load(tmp_path / "network.npz")
            ours = Emulator(built.program).run(built.inputs)
            found = of_counts(built, ours, worker.counts(8))
            assert found.first_layer is not None
            assert found.first_layer > 0.99, kind
            assert found.share > (0.5 if kind == "image" else 0.99), kind
            assert found.equal or kind != "no leak"
            assert worker.run(3)[0] > 0
    finally:
        worker.close()


@pytest.mark.slow
def test_nengo_loihi_spikes_much_as_the_emulator_does(tmp_path: Path) -> None:
    rival = RIVALS["nengo-loihi"]
    usable, reason = available(rival)
    if not usable:
        pytest.skip(reason)

    def dense() -> Network:
        build = Builder((6, 4), 3)
        for size in (20, 8):
            build.linear(size)
            build.lif(0.875)
        return build.network("dense", 20)

    assert "padding" in rival.refuses(tiny())
    built = build_case("dense", Entry("", dense), 0.2, 2)
    assert not rival.refuses(built.network)
    save(tmp_path / "network.npz", built.network, built.samples)
    worker = Worker(rival, 1)
    try:
        worker.load(tmp_path / "network.npz")
        found = of_counts(built, Emulator(built.program).run(built.inputs), worker.counts(1))
        assert worker.run(1)[0] > 0
    finally:
        worker.close()
    assert found.share > 0.5


def test_workers_stand_alone() -> None:
    for path in WORKERS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any("spikewright" in alias.name for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.level < 2, path
                assert "spikewright" not in (node.module or ""), path


FAKE = """
import json, sys
import numpy as np
sys.path.insert(0, {here!r})
from workers.network import load
print(json.dumps({{"version": "0"}}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    answer = {{}}
    if command["do"] == "load":
        network, inputs = load(command["file"])
    elif command["do"] == "counts":
        shape = command["batch"]
        np.savez(command["file"], **{{x.name: np.zeros((shape, int(np.prod(x.shape)))) for x in network.spiking}})
    else:
        {run}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Callable[[str], Worker]:
    """A worker that counts no spike at all, and runs as told."""

    def make(run: str) -> Worker:
        script = tmp_path / "fake.py"
        script.write_text(FAKE.format(here=str(WORKERS.parent), run=run))
        return Worker(RIVALS["snntorch"], 1, [sys.executable, str(script)])

    return make


def measured(case: Case, worker: Worker, folder: Path) -> CaseResult:
    try:
        return measure_case(case, {RIVALS["snntorch"]: worker}, (1, 4), 2, folder)
    finally:
        worker.close()


def test_a_simulator_that_disagrees_is_reported(
    case: Case, fake: Callable[[str], Worker], tmp_path: Path
) -> None:
    result = measured(case, fake('answer = {"seconds": 1e-3, "processor": 1e-3}'), tmp_path)
    found = result.agreements["snntorch"]
    assert not found.equal
    assert 0 < found.share < 1
    assert result.agreements["reference"].equal
    row = next(r for r in result.rows if r.simulator == "snntorch" and r.batch == 4)
    assert row.ratio is not None
    assert row.seconds is not None
    assert row.seconds.median == pytest.approx(1e-3 / 4 / 6)
    text = page(results(result), "p.png")
    assert f"float only, {describe(found)}" in text
    assert "equal to the reference" in text


def test_a_simulator_that_fails_is_named_and_the_others_go_on(
    case: Case, fake: Callable[[str], Worker], tmp_path: Path
) -> None:
    result = measured(case, fake('answer = {"error": "OutOfPaper: no sheet"}'), tmp_path)
    assert {row.simulator for row in result.rows if row.seconds} == {OURS}
    assert next(row.note for row in result.rows if row.note) == "snnTorch: OutOfPaper: no sheet"
    assert "snnTorch did not run: snnTorch: OutOfPaper: no sheet." in page(results(result), "p.png")


def test_a_simulator_that_dies_or_hangs_is_an_error(
    case: Case, fake: Callable[[str], Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIME_LIMIT", 20)
    save(tmp_path / "network.npz", case.network, case.samples)
    for run, message in (
        ("sys.exit('out of order')", "out of order"),
        ("import time; time.sleep(60)", "no answer"),
    ):
        worker = fake(run)
        worker.load(tmp_path / "network.npz")
        monkeypatch.setattr(client, "TIME_LIMIT", 2)
        with pytest.raises(WorkerError, match=message):
            worker.run(1)
        worker.close()
        assert not worker.alive
        with pytest.raises(WorkerError, match="has ended"):
            worker.run(1)
        monkeypatch.setattr(client, "TIME_LIMIT", 20)


def test_counts_of_another_network_are_refused(case: Case) -> None:
    ours = Emulator(case.program).run(case.inputs)
    counts = {layer.name: ours.counts[layer.name] for layer in case.network.spiking}
    assert of_counts(case, ours, counts).equal
    with pytest.raises(ValueError, match="no spike counts of spikes1"):
        of_counts(case, ours, {k: v for k, v in counts.items() if k != "spikes1"})
    with pytest.raises(ValueError, match=r"spikes2: spike counts of shape \(8, 3\)"):
        of_counts(case, ours, {**counts, "spikes2": counts["spikes2"][:, :3]})


def test_the_reference_is_compared_and_not_believed(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert against_reference(case).equal

    def wrong(program: object, inputs: object) -> object:
        recording = Emulator(case.program).run(case.inputs.select(slice(0, 1)), detail="states")
        recording.spikes["spikes1"][0, 2, 5] ^= 1
        return recording

    monkeypatch.setattr("spikewright.benchmarks.simulators.agreement.reference.run", wrong)
    found = against_reference(case)
    assert found.differing == 1
    assert "**differs** in 1 of" in describe(found)


@pytest.mark.lava
@pytest.mark.skipif(not lava_available()[0], reason=lava_available()[1])
def test_lava_is_timed_and_compared(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lava_time, "SECONDS", 0.0)
    monkeypatch.setattr(lava_time, "PROBED_STEPS", 12)
    monkeypatch.setattr(lava_time, "LEAST_STEP", 1e-9)
    _, agreement = lava_time.measure(case, runs=1)
    assert agreement.equal
    assert agreement.what == "neuron steps"


def test_samples_repeat_where_lava_needs_more(case: Case) -> None:
    inputs = lava_time.repeated(case.inputs, 11)
    raster = next(iter(inputs.spikes.values()))
    assert raster.shape[0] == 11
    assert np.array_equal(raster[8:], raster[:3])


def test_turns_rotate_and_a_failure_costs_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PAUSE", 0)
    order: list[str] = []

    class Fake:
        def __init__(self, name: str, fails_at: int = 99) -> None:
            self.name, self.fails_at, self.calls = name, fails_at, 0

        def run(self, batch: int, times: int = 1) -> tuple[float, float]:
            self.calls += 1
            if self.calls > self.fails_at:
                raise WorkerError(f"{self.name} is out")
            order.append(self.name)
            return 1.0, 0.5

    failures: list[tuple[str, str]] = []
    runners = {"a": Fake("a"), "b": Fake("b", 3), "c": Fake("c", 0)}
    found = in_turns(runners, 4, 3, lambda name, reason: failures.append((name, reason)))
    assert order == ["a", "a", "b", "b", "a", "b", "a", "a"]
    assert found == {"a": [(1.0, 0.5)] * 3}
    assert failures == [("c", "c is out"), ("b", "b is out")]


def test_missing_simulators_are_named_with_the_line_that_installs_them(
    only_tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "ENVIRONMENTS", tmp_path / "none")
    out = tmp_path / "page.md"
    separate = [n for n, r in RIVALS.items() if not r.module and n != LAVA]
    arguments = ["--simulators", OURS, *separate, "--batches", "1", "--repeats", "1", "--rows-only"]
    assert command.main([*arguments, "--densities", "20", "--out", str(out)]) == 0
    text = out.read_text()
    for name in separate:
        assert f"did not run: not installed; install with: make rivals RIVALS={name}" in text
    assert "| **" in text


def test_an_unfinished_environment_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "ENVIRONMENTS", tmp_path)
    python = tmp_path / "sinabs" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    usable, reason = available(RIVALS["sinabs"])
    assert not usable
    assert "incomplete" in reason


def test_every_requirement_is_pinned() -> None:
    names = {rival.name for rival in RIVALS.values() if not rival.module and rival.name != LAVA}
    assert {path.stem for path in rivals.REQUIREMENTS.glob("*.txt")} == names
    for path in rivals.REQUIREMENTS.glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert lines
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), path


def test_quick_runs_from_end_to_end(only_tiny: None, tmp_path: Path) -> None:
    out, figures = tmp_path / "docs" / "performance.md", tmp_path / "figures.json"
    arguments = ["--quick", "--networks", "tiny", "--simulators", OURS, "snntorch", "--threads", "1"]
    assert command.main([*arguments, "--out", str(out), "--json", str(figures)]) == 0
    text = out.read_text()
    assert "tiny, 10 %" in text
    assert "bit-equal to the reference" in text
    assert "float only, " in text
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_text())
    assert {row["simulator"] for row in found["cases"][0]["rows"]} == {OURS, "snntorch"}
    assert {row["batch"] for row in found["cases"][0]["rows"]} == {1, 16}


def test_a_run_that_ends_early_leaves_no_page(
    only_tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(results: Results, picture: str) -> str:
        raise KeyboardInterrupt

    out = tmp_path / "performance.md"
    out.write_text("the last one")
    monkeypatch.setattr(command, "page", half)
    arguments = ["--simulators", OURS, "--batches", "1", "--repeats", "1", "--rows-only", "--densities", "20"]
    with pytest.raises(KeyboardInterrupt):
        command.main([*arguments, "--out", str(out)])
    assert out.read_text() == "the last one"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
