"""The spiking blocks as a program: populations, equality on every backend, the host's halves, what spikes add."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch

from spikewright.errors import BuildError
from spikewright.export.graph import LI, LIF
from spikewright.hardware import host, reference
from spikewright.hardware.emulator import Emulator
from spikewright.hardware.lava import driver
from spikewright.hardware.recording import compare
from spikewright.models.spiking_attention import ValueBlock
from spikewright.physformer.ablation import ABLATIONS, ablated
from spikewright.physformer.accuracy import CLASSICAL, judge
from spikewright.physformer.host_accuracy import host_accuracy
from spikewright.physformer.host_part import HostPart, file_of
from spikewright.physformer.lowering import embeddings, exportable
from spikewright.physformer.system import System, clips, load_system, network_of, videos
from spikewright.recipe import load_recipe
from spikewright.workspace import Workspace


def shown(workspace: Workspace, system: System, count: int) -> np.ndarray:
    return embeddings(system.network, clips(workspace, "test", count))


def test_populations_are_the_networks_layers_and_products(system: System) -> None:
    program, config = system.blocks.program, system.network.config
    named = {p.name: p.shape for p in program.populations}
    gate = (config.width, 1 if config.counts_all else config.grid[0])
    last = "final_n" if system.network.reads_spikes else "readout"
    inner = {f"block0_{n}": config.shape for n in ("enter_n", "query_n", "key_n", "meeting_n", "masked_n")}
    if config.attention == "values":
        pairs = config.width**2 // config.heads
        gate = (pairs, 1)
        inner |= {f"block0_{n}": (pairs, *config.grid) for n in ("meeting_n", "masked_n")}
        inner["block0_value_n"] = config.shape
    hidden = (config.width * config.ratio, *config.grid[:1], config.grid[1] * config.grid[2])
    assert named.pop("block0_hidden_n") in (hidden, (config.width * config.ratio, *config.grid))
    assert named == {**inner, "block0_gate_n": gate, last: config.shape}
    assert program.populations[-1].name == last


def test_every_backend_gives_the_same_integers(workspace: Workspace, system: System) -> None:
    inputs, clipped = host.encode(system.blocks.program, shown(workspace, system, 3))
    slow = reference.run(system.blocks.program, inputs)
    for threads in (1, 2):
        fast = Emulator(system.blocks.program, threads=threads).run(inputs, detail="states")
        assert compare(slow, fast, [*slow.spikes]).equal
    assert clipped == 0
    # Clips that stream back to back are those that run alone.
    for k in range(3):
        alone = Emulator(system.blocks.program).run(inputs.select(slice(k, k + 1)), detail="spikes")
        assert all((alone.spikes[name][0] == slow.spikes[name][k]).all() for name in slow.spikes)


@pytest.mark.lava
def test_lava_gives_the_same_integers(workspace: Workspace, system: System) -> None:
    inputs, _ = host.encode(system.blocks.program, shown(workspace, system, 2))
    try:
        outside = driver.run(system.blocks.program, inputs, detail="states", time_limit=300)
    except driver.LavaUnavailable as error:
        pytest.skip(str(error))
    ours = Emulator(system.blocks.program).run(inputs, detail="states")
    assert compare(outside, ours, [*ours.spikes]).equal


def test_products_fire_where_both_factors_do(workspace: Workspace, system: System) -> None:
    inputs, _ = host.encode(system.blocks.program, shown(workspace, system, 3))
    spikes = Emulator(system.blocks.program).run(inputs, detail="spikes").spikes
    block = system.network.parallel_blocks[0]
    if isinstance(block, ValueBlock):
        key, value, query = (
            spikes[f"block0_{name}"].reshape(-1, block.heads, block.size, prod(system.network.config.grid))
            for name in ("key_n", "value_n", "query_n")
        )
        met, passing = key[:, :, :, None] & value[:, :, None], np.repeat(query[:, :, :, None], block.size, 3)
    else:
        met, passing = spikes["block0_query_n"] & spikes["block0_key_n"], spikes["block0_enter_n"]
    meeting = met.reshape(spikes["block0_meeting_n"].shape)
    assert (spikes["block0_meeting_n"] == meeting).all()
    gate = torch.from_numpy(spikes["block0_gate_n"]).reshape(-1, *_gate_shape(system)).float()
    spread = block.gate.spread(gate).numpy().reshape(meeting.shape).astype(np.uint8)
    assert (spikes["block0_masked_n"] == (spread & passing.reshape(spread.shape))).all()


def _gate_shape(system: System) -> tuple[int, ...]:
    return system.blocks.program.population("block0_gate_n").shape


def test_the_float_file_computes_what_the_network_does(workspace: Workspace, system: System) -> None:
    from spikewright.export.float_run import run_float

    some = clips(workspace, "test", 2)
    with torch.no_grad():
        embedding = system.network.embedding(torch.from_numpy(some))
        waves, rasters = system.network.predict(torch.from_numpy(some))
    run = run_float(system.blocks.float_graph, embedding.numpy())
    for name, spikes in rasters.items():
        ours = run.spikes[name.replace(".", "_")]
        theirs = spikes.movedim(1, 0).flatten(2).numpy()
        # Folded weights round otherwise: a membrane beside the threshold may fall to the other side.
        assert (ours != theirs).mean() < 1e-3, name
    last = system.blocks.program.populations[-1]
    told = run.readouts[last.name] if last.readout else run.spikes[last.name].sum(1)
    again = system.network.tell(
        torch.from_numpy(np.asarray(told, np.float32)).reshape(embedding.shape), embedding
    )
    assert np.corrcoef(again.detach().numpy().ravel(), waves.numpy().ravel())[0, 1] > 0.99


def test_the_graph_has_no_temporal_difference_left(system: System) -> None:
    assert not any("Difference" in type(m).__name__ for m in exportable(system.network).modules())
    assert any("Difference" in type(m).__name__ for m in system.network.modules())
    kinds = {type(system.blocks.float_graph.nodes[n]) for n in system.blocks.float_graph.select(LIF, LI)}
    assert kinds == ({LIF} if system.network.reads_spikes else {LIF, LI})


def test_the_hosts_part_in_floats_is_the_network(workspace: Workspace, system: System) -> None:
    pytest.importorskip("onnxruntime")
    part = HostPart.open(system.network, workspace.folder, "float32")
    some = torch.from_numpy(clips(workspace, "test", 3))
    with torch.no_grad():
        embedding = system.network.embedding(some)
        torch.testing.assert_close(part.embed(some), embedding, atol=1e-4, rtol=1e-4)
        totals = torch.rand(embedding.shape) * 4
        wanted = system.network.tell(totals, embedding)
    torch.testing.assert_close(part.tell(totals, embedding), wanted, atol=1e-4, rtol=1e-4)


def test_the_hosts_part_in_integers_is_near_it(workspace: Workspace, system: System) -> None:
    pytest.importorskip("onnxruntime")
    part = HostPart.open(system.network, workspace.folder, "int8")
    some = torch.from_numpy(clips(workspace, "test", 3))
    with torch.no_grad():
        embedding = system.network.embedding(some)
    found = part.embed(some)
    assert (found - embedding).abs().max() > 0
    assert np.corrcoef(found.numpy().ravel(), embedding.numpy().ravel())[0, 1] > 0.9
    assert (workspace.folder / file_of("embedding", "int8")).stat().st_size < (
        workspace.folder / file_of("embedding", "float32")
    ).stat().st_size


def test_a_damaged_host_file_is_named(workspace: Workspace, system: System, tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("onnxruntime")
    with pytest.raises(BuildError, match=r"embedding\.onnx: missing; run `spikewright export` again"):
        HostPart.open(system.network, tmp_path, "float32")
    (tmp_path / "embedding.onnx").write_bytes(b"nothing")
    with pytest.raises(BuildError, match=r"embedding\.onnx: cannot be run"):
        HostPart.open(system.network, tmp_path, "float32")


def test_everything_is_judged_on_the_same_videos(workspace: Workspace, system: System) -> None:
    twin = workspace.network("physformer_ann")
    some = videos(workspace, "test")
    done: list[int] = []
    judged = judge(system, twin, some, 2, done.append)  # type: ignore[arg-type]
    assert done == [1, 2, 3]
    assert judged.tally.samples == sum(len(video.clips) for video in some) == 6
    assert {len(judged.waves[name]) for name in ("reference", "float", "int8", "ann", *CLASSICAL)} == {3}
    assert {len(judged.waves[name]) for name in ABLATIONS} == {2}
    with torch.no_grad():
        wanted = system.network(torch.from_numpy(some[1].clips)).numpy().ravel()
    np.testing.assert_allclose(judged.waves["float"][1], wanted, atol=1e-5)
    assert not np.allclose(judged.waves["int8"][1], judged.waves["float"][1])
    by_video, by_clip = judged.scores("POS", 160)
    assert (by_video.count, by_clip.count) == (3, 6)
    assert by_video.wave_correlation > 0.5  # the easy level
    rows = host_accuracy(system, workspace.folder, some[:1])
    assert [row.precision for row in rows] == ["float32", "int8"]


def test_each_ablation_changes_what_is_read(workspace: Workspace, system: System) -> None:
    network, some = system.network, torch.from_numpy(clips(workspace, "test", 2))
    with torch.no_grad():
        embedding = network.embedding(some)
        whole = network(some)
        found = {name: ablated(network, embedding, name) for name in ABLATIONS}
    assert all(not torch.allclose(waves, whole) for name, waves in found.items() if name != "mask")
    silent = network.see(embedding, lambda name, spikes: spikes * (not name.endswith("masked_n")))[0]
    torch.testing.assert_close(found["attention"], network.predictor(silent))


def test_a_build_is_read_again(workspace: Workspace, system: System) -> None:
    again = load_system(workspace.folder)
    assert [p.name for p in again.blocks.program.populations] == [
        p.name for p in system.blocks.program.populations
    ]
    for name, value in network_of(workspace).state_dict().items():
        assert torch.equal(value, system.network.state_dict()[name])


def test_a_build_of_another_system_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = Workspace(load_recipe("esvae-digits"), tmp_path)
    tmp_path.mkdir(exist_ok=True)
    other.save_recipe()
    with pytest.raises(BuildError, match="holds esvae-digits, which is no Spiking-PhysFormer"):
        load_system(tmp_path)


def test_images_of_videos_are_refused(workspace: Workspace) -> None:
    with pytest.raises(BuildError, match="synthetic holds videos, no images"):
        _ = workspace.test_images
