"""Three programs stand for the networks they came from, and their operations are those of a brute count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.benchmarks.counting import count
from spikewright.diffusion.evaluators import ChipEvaluator
from spikewright.diffusion.quality import reconstruct, token_figures
from spikewright.diffusion.system import PARTS, System, hidden_spikes, load_system
from spikewright.diffusion_stages import extract_tokens
from spikewright.errors import BuildError
from spikewright.export.unroll import unroll
from spikewright.generating.counting import times
from spikewright.generating.tally import Tally
from spikewright.hardware import host, tokens
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.program import ProgramError
from spikewright.hardware.program_io import load_program
from spikewright.models.sdid import SDID
from spikewright.models.vq_svae import VQSVAE
from spikewright.workspace import Workspace


def test_the_files_alone_are_the_system(system: System, workspace: Workspace) -> None:
    again = load_system(workspace.folder)
    vq = workspace.network("vq")
    assert isinstance(vq, VQSVAE)
    assert again.codes == vq.config.codes
    assert again.grid == vq.config.grid
    assert (tokens.codebook(again.encoder.program) == vq.codebook.vectors.detach().numpy()).all()
    assert set(again.parts) == set(PARTS)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"encoder: missing; run `spikewright export` first"):
        load_system(tmp_path)


def test_codes_are_chosen_as_the_network_chooses_them(system: System, workspace: Workspace) -> None:
    vq = workspace.network("vq")
    assert isinstance(vq, VQSVAE)
    images = workspace.test_images[:40]
    with torch.no_grad():
        _, spikes = vq.encode(torch.from_numpy(images))
    raster = spikes[vq.encoder_names[-1]].numpy().swapaxes(0, 1).reshape(40, vq.config.timesteps, -1)
    chosen = tokens.choose(system.encoder.program, raster.astype(np.uint8))
    # Sums in float64 here and in float32 there part only where two codes are equally near.
    assert (chosen == extract_tokens(vq, images)).mean() > 0.999
    with torch.no_grad():
        vectors = vq.codebook.lookup(torch.from_numpy(chosen)).numpy()
    assert (tokens.look_up(system.decoder.program, chosen) == vectors).all()


def test_one_line_a_position_fires(system: System) -> None:
    program = system.denoiser.program
    grids = np.random.default_rng(0).integers(0, system.codes + 1, (3, *system.grid))
    spikes = tokens.one_hot(program, grids).spikes[program.sources[0].name]
    shaped = spikes.reshape(3, program.timesteps, system.codes + 1, *system.grid)
    assert (shaped.argmax(2) == grids[:, None]).all()
    assert (shaped.sum(2) == 1).all()


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        (np.full((1, 4, 4), 33), r"tokens from 33 to 33; .* has lines 0 to 32"),
        (np.full((1, 4, 4), -1), r"tokens from -1"),
        (np.zeros((1, 4, 5), np.int64), r"grids of shape \(4, 5\)"),
    ],
)
def test_wrong_grids_are_refused(system: System, grids: np.ndarray, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        tokens.one_hot(system.denoiser.program, grids)


def test_a_program_without_codes_is_refused(system: System) -> None:
    with pytest.raises(ProgramError, match="has no host step 'look_up_codes'"):
        tokens.look_up(system.denoiser.program, np.zeros((1, 4, 4), np.int64))
    with pytest.raises(ProgramError, match="there are 32 codes"):
        tokens.look_up(system.decoder.program, np.full((1, 4, 4), 32))


def test_integers_stay_close_to_floats(system: System, workspace: Workspace) -> None:
    images = reconstruct(workspace, system, lambda done, of: None)
    error = {
        name: float(((made - workspace.test_images) ** 2).mean()) for name, made in images.images.items()
    }
    assert error["int8"] < 1.01 * error["float"]
    evaluator = ChipEvaluator(system, "emulator")
    try:
        figures = token_figures(workspace, system, evaluator, 360, images.chosen)
    finally:
        evaluator.close()
    assert abs(figures.elbo_int8 - figures.elbo_float) < 0.02
    assert figures.token_agreement > 0.9
    assert figures.elbo_float < figures.unigram_bits - 1
    assert figures.used_codes > 0.8 * figures.codes


def test_operations_are_those_of_a_brute_count(system: System, workspace: Workspace) -> None:
    sdid = workspace.network("sdid")
    assert isinstance(sdid, SDID)
    program = system.denoiser.program
    grids = np.random.default_rng(1).integers(0, system.codes, (4, *system.grid))
    inputs, _ = host.encode(program, hidden_spikes(sdid, grids))
    recording = Emulator(program).run(inputs, "spikes")
    tally = Tally(program)
    found = tally.add(inputs, recording)
    brute = np.zeros(4)
    for group in program.synapses:
        matrix = unroll(group.map)
        raster = recording.spikes[group.source].astype(np.int64)
        reach = np.asarray((matrix != 0).sum(0)).ravel()
        brute += (raster.sum(1) * reach).sum(1)
    assert (found["sops"] == brute).all()
    spikes = sum(recording.spikes[p.name].sum((1, 2), dtype=np.int64) for p in program.populations)
    assert (found["spikes"] == spikes).all()
    layers = count(program, tally.recording(), 4)
    assert sum(layer.sops for layer in layers) == pytest.approx(brute.mean())
    many = times(layers, 31.2)
    assert sum(layer.sops for layer in many) == pytest.approx(31.2 * brute.mean())
    assert many[0].neurons == layers[0].neurons


def test_a_folder_of_several_programs_names_them(system: System, workspace: Workspace) -> None:
    with pytest.raises(ProgramError, match=r"name one of .*decoder, .*denoiser, .*encoder"):
        load_program(workspace.folder / "program.npz")
