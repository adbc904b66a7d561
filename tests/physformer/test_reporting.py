"""The report of a small deployment: figures that follow from each other, and what the page says of decoration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spikewright.benchmarks.report.pulse import LEAST_COST, RATES
from spikewright.benchmarks.report.schema import Report
from spikewright.benchmarks.report.write import read_report
from spikewright.physformer import reporting
from spikewright.physformer.pricing import AC_JOULE, MAC_JOULE, host_macs
from spikewright.physformer.reporting import exchange_bytes, report_system
from spikewright.physformer.system import System
from spikewright.physformer.verification import verify_system
from spikewright.progress import Steps
from spikewright.workspace import Workspace


@pytest.fixture(scope="session")
def report(workspace: Workspace, system: System):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "ABLATION_VIDEOS", 2)
        patch.setattr(reporting, "HOST_VIDEOS", 1)
        found = verify_system(workspace, system, Steps(), use_lava=False)
        return report_system(workspace, system, found, Steps())


def test_the_checks_agree(workspace: Workspace, report) -> None:  # type: ignore[no-untyped-def]
    e = report.equivalence
    assert e.reference.equal
    assert e.norse.ran
    assert e.norse.spike_mismatches == e.norse.explained_by_rounding
    assert not e.lava.ran
    assert e.lava.reason == "switched off by --no-lava"


def test_the_file_is_the_report(workspace: Workspace, report) -> None:  # type: ignore[no-untyped-def]
    again = read_report(workspace.report)
    assert again == report
    assert (workspace.folder / "report.html").read_text().count("Heart rate") >= 1
    table = json.loads(workspace.report.read_text())
    assert "quality" not in table
    assert "generation" not in table


def test_rows_ablations_and_rates_are_whole(workspace: Workspace, system: System, report) -> None:  # type: ignore[no-untyped-def]
    pulse = report.pulse
    assert [row.name for row in pulse.rows] == ["ann", "float", "int8", "GREEN", "CHROM", "POS"]
    assert (pulse.videos, pulse.clips, pulse.ablation_videos) == (3, 6, 2)
    assert len(pulse.ablations) == 4
    for row in pulse.ablations:
        assert row.cost == pytest.approx(
            pulse.ablation_whole.wave_correlation - row.by_video.wave_correlation
        )
        assert row.decorative == (row.cost < LEAST_COST)
    firing = [p.name for p in system.blocks.program.populations if not p.readout]
    assert [rate.name for rate in pulse.rates] == firing
    assert all(rate.within == (RATES[0] <= rate.rate <= RATES[1]) for rate in pulse.rates)
    spikes = {layer.name: layer.spikes for layer in report.layers}
    for rate, population in zip(pulse.rates, system.blocks.program.populations, strict=False):
        steps = population.size * system.blocks.program.timesteps
        assert rate.rate == pytest.approx(spikes[rate.name] / steps)


def test_energy_as_the_paper_counts_follows_from_the_counts(workspace: Workspace, report) -> None:  # type: ignore[no-untyped-def]
    priced = report.pulse.energy
    assert priced.host_macs == host_macs(workspace.folder)
    assert priced.host == pytest.approx(MAC_JOULE * priced.host_macs)
    assert priced.spiking_blocks == pytest.approx(AC_JOULE * report.totals.sops)
    assert priced.block_ratio == pytest.approx(priced.twin_blocks / priced.spiking_blocks)
    whole = MAC_JOULE * report.baseline.macs
    saved = 100 * (1 - (priced.host + priced.spiking_blocks) / whole)
    assert priced.whole_saving_percent == pytest.approx(saved)
    more = report.pulse.variant == "deployment"  # the other stem mixes frames
    assert (priced.other_stem_host_macs > priced.host_macs) == more
    # Embedding and predictor are the twin's own, so that only the layers between them differ.
    assert report.baseline.macs - priced.twin_blocks / MAC_JOULE == pytest.approx(priced.host_macs, rel=1e-6)


def test_what_is_exchanged_is_every_current_and_what_is_read(system: System, report) -> None:  # type: ignore[no-untyped-def]
    program, size = system.blocks.program, int(np.prod(system.network.config.shape))
    fed = len({encoder["population"] for encoder in program.host["encoders"]})
    read = size * program.timesteps / 8 if system.network.reads_spikes else 3 * size
    assert exchange_bytes(program) == report.pulse.exchange_bytes == 2 * fed * size + read
    assert fed == (2 if system.network.reads_spikes else 1)


def test_the_stream_is_measured_or_refused(system: System, report: Report) -> None:
    pulse, program = report.pulse, system.blocks.program
    assert pulse is not None
    if system.network.config.counts_all:
        assert pulse.stream is None
        assert "counts over all of a clip" in pulse.stream_reason
        return
    found, tokens = pulse.stream, system.network.config.grid[0]
    assert found is not None
    assert found.cores is not None
    assert report.fit.cores_placed is not None
    assert (found.differing, found.clips) == (0, reporting.STREAMED_CLIPS)
    assert found.neuron_steps == 2 * program.timesteps * sum(
        p.size for p in program.populations if not p.relay
    )
    assert found.neurons < report.fit.neurons
    assert found.cores <= report.fit.cores_placed
    assert found.obstacles == []
    assert found.behind_frames[1] == found.behind_frames[0] + 3
    # Synapses over a clip's borders are the stream's alone.
    assert report.totals.sops / tokens <= found.sops_per_token <= 2 * report.totals.sops / tokens
