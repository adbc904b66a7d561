"""Each pass alone, then all of them: the lowered graph fires as the snnTorch module does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import (
    LI,
    LIF,
    BatchNorm,
    Graph,
    HostFunction,
    HostStep,
    Identity,
    Input,
    Node,
    Output,
    Reshape,
    Select,
    Settings,
    Synapses,
)
from spikewright.export.levels import check
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense
from spikewright.export.nir_write import differences
from spikewright.export.passes import TO_FLOAT, to_float
from spikewright.export.passes.fold_batch_norm import fold_batch_norm
from spikewright.export.passes.lift_host_functions import lift_host_functions
from spikewright.export.passes.mark_static_inputs import mark_static_inputs
from spikewright.export.passes.remove_identity import remove_identity
from spikewright.export.passes.remove_unseen import remove_unseen
from spikewright.export.record import run_module
from spikewright.export.trace import trace
from tests.export.networks import NETWORKS, build, leaky, samples, stepped

STEPS = 12
RNG = np.random.default_rng(0)


def graph(nodes: dict[str, Node], *edges: tuple[str, str], steps: tuple[HostStep, ...] = ()) -> Graph:
    return Graph("net", nodes, edges, Settings(4), steps)


def synapses(outputs: int, inputs: int) -> Synapses:
    return Synapses(Dense(RNG.normal(size=(outputs, inputs)).astype(np.float32), (inputs,), (outputs,)))


def lif(*shape: int) -> LIF:
    return LIF(shape, 0.5, np.array([1], np.float32))


def normal(shape: tuple[int, ...], channels: int) -> BatchNorm:
    weight, bias, mean = (RNG.normal(size=channels).astype(np.float32) for _ in range(3))
    return BatchNorm(shape, weight, bias, mean, RNG.uniform(0.01, 3, channels).astype(np.float32), 1e-3)


def test_identities_and_reshapes_vanish_and_an_addition_becomes_two_edges() -> None:
    nodes: dict[str, Node] = {
        "in": Input((2, 3), "spikes"), "flat": Reshape((6,)), "a": synapses(4, 6), "b": synapses(4, 6),
        "drop": Identity((4,)), "sum": Identity((4,)), "view": Reshape((2, 2)), "n": lif(2, 2),
        "out": Output((2, 2)),
    }  # fmt: skip
    before = graph(
        nodes, ("in", "flat"), ("flat", "a"), ("flat", "b"), ("a", "drop"), ("drop", "sum"), ("b", "sum"),
        ("sum", "view"), ("view", "n"), ("n", "out"), steps=(HostStep("resample", "view"),),
    )  # fmt: skip
    after = remove_identity(before)
    wanted = {("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "out")}
    assert set(after.edges) == wanted
    assert len(after.edges) == len(wanted)
    assert set(after.nodes) == {"in", "a", "b", "n", "out"}
    assert after.host_steps[0].node in ("a", "b")


MAPS = {
    "dense": lambda: Dense(RNG.normal(size=(6, 10)).astype(np.float32), (10,), (6,)),
    "conv": lambda: Conv2d(
        RNG.normal(size=(6, 2, 3, 2)).astype(np.float32), (4, 7, 5), (2, 1), (1, 0), (1, 2), groups=2
    ),
    "transposed": lambda: ConvTranspose2d(
        RNG.normal(size=(3, 6, 2, 3)).astype(np.float32), (3, 4, 5), (2, 1), (0, 1), (1, 0)
    ),
}


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("biased", [False, True])
def test_folding_is_the_normalised_map_up_to_one_rounding(kind: str, biased: bool) -> None:
    map_ = MAPS[kind]()
    bias = RNG.normal(size=6).astype(np.float32) if biased else None
    norm = normal(map_.output_shape, 6)
    nodes: dict[str, Node] = {
        "in": Input(map_.input_shape, "spikes"), "w": Synapses(map_, bias), "bn": norm,
        "n": lif(*map_.output_shape), "out": Output(map_.output_shape),
    }  # fmt: skip
    folded = fold_batch_norm(graph(nodes, ("in", "w"), ("w", "bn"), ("bn", "n"), ("n", "out")))
    assert set(folded.nodes) == {"in", "w", "n", "out"}
    w = folded.nodes["w"]
    assert isinstance(w, Synapses)
    assert w.bias is not None
    assert w.map.weight.dtype == w.bias.dtype == np.float32

    x = torch.from_numpy(RNG.normal(size=(3, int(np.prod(map_.input_shape)))))
    linear = map_.forward(x, torch.from_numpy(map_.weight).double()).unflatten(1, (6, -1))
    linear = linear + (0 if bias is None else torch.from_numpy(bias).double()[:, None])
    batch_norm = nn.functional.batch_norm(
        linear,
        *(torch.from_numpy(a).double() for a in (norm.mean, norm.variance, norm.weight, norm.bias)),
        eps=norm.eps,
    )
    out = w.map.forward(x, torch.from_numpy(w.map.weight).double()).unflatten(1, (6, -1))
    out = out + torch.from_numpy(w.bias).double()[:, None]
    largest = float(batch_norm.abs().max())
    assert float((out - batch_norm).abs().max()) < 4e-7 * max(1.0, largest)


def _norm_behind(**changes: Node) -> Graph:
    nodes: dict[str, Node] = {
        "in": Input((6,), "spikes"), "a": synapses(4, 6), "b": synapses(4, 6), "bn": normal((4,), 4),
        "n": lif(4), "m": lif(4), "out": Output((4,)),
    }  # fmt: skip
    return graph({**nodes, **changes}, ("in", "a"), ("a", "bn"), ("bn", "n"), ("n", "out"))


def test_a_normalisation_of_another_size_is_refused() -> None:
    with pytest.raises(ExportError, match="bn: normalises 2 channels, its input has 4"):
        fold_batch_norm(_norm_behind(bn=normal((4,), 2)))


@pytest.mark.parametrize(
    "apart",
    [
        replace(_norm_behind(), edges=(("in", "bn"), ("bn", "n"))).with_node("in", Input((4,), "spikes")),
        replace(_norm_behind(), edges=(("in", "a"), ("in", "b"), ("a", "bn"), ("b", "bn"))),
        replace(_norm_behind(), edges=(*_norm_behind().edges, ("a", "m"))),
    ],
)
def test_a_normalisation_without_a_map_of_its_own_becomes_one(apart: Graph) -> None:
    norm = apart.nodes["bn"]
    assert isinstance(norm, BatchNorm)
    made = fold_batch_norm(apart).nodes["bn"]
    assert isinstance(made, Synapses)
    assert made.bias is not None
    x = torch.from_numpy(RNG.normal(size=(3, 4)))
    out = made.map.forward(x, torch.from_numpy(made.map.weight).double()).numpy() + made.bias
    wanted = (x.numpy() - norm.mean) / np.sqrt(norm.variance + norm.eps) * norm.weight + norm.bias
    assert np.allclose(out, wanted, atol=1e-6)


def _host(kind: str, before: Node, *more: tuple[str, str]) -> Graph:
    nodes: dict[str, Node] = {
        "in": Input((6,), "spikes"), "w": synapses(4, 6), "n": before, "f": HostFunction((4,), kind),
        "out": Output((4,)), "w2": synapses(3, 4), "n2": lif(3),
    }  # fmt: skip
    return graph(nodes, ("in", "w"), ("w", "n"), ("n", "f"), *(more or (("f", "out"),)))


def test_a_function_of_the_read_out_becomes_a_host_step() -> None:
    lifted = lift_host_functions(_host("tanh", LI((4,), 0.5)))
    assert ("n", "out") in lifted.edges
    assert [(s.kind, s.node) for s in lifted.host_steps] == [("tanh", "n")]


def test_a_resampling_point_lets_spikes_pass() -> None:
    lifted = lift_host_functions(_host("resample", lif(4), ("f", "w2"), ("w2", "n2"), ("n2", "out")))
    assert ("n", "w2") in lifted.edges
    assert lifted.host_step("resample") is not None


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (_host("tanh", lif(4)), "read-out"),
        (_host("tanh", LI((4,), 0.5), ("f", "w2"), ("w2", "n2"), ("n2", "out")), "read-out"),
        (_host("resample", LI((4,), 0.5)), "not a spiking layer"),
        (_host("tanh", LI((4,), 0.5), ("f", "out"), ("f", "w2")), "read-out"),
    ],
)
def test_a_host_function_elsewhere_is_refused(broken: Graph, word: str) -> None:
    with pytest.raises(ExportError, match=r"^f: ") as caught:
        lift_host_functions(broken)
    assert word in str(caught.value)


@pytest.mark.parametrize(("coding", "static"), [("direct", True), ("spikes", False)])
def test_only_what_a_direct_input_feeds_is_static(coding: str, static: bool) -> None:
    nodes: dict[str, Node] = {
        "in": Input((6,), coding), "a": synapses(4, 6), "b": synapses(4, 6), "n": lif(4),
        "w": synapses(3, 4), "m": lif(3), "out": Output((3,)),
    }  # fmt: skip
    edges = (("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "w"), ("w", "m"), ("m", "out"))
    marked = mark_static_inputs(graph(nodes, *edges))
    assert [marked.nodes[n].static for n in ("n", "m")] == [static, False]  # type: ignore[union-attr]
    both = mark_static_inputs(graph({**nodes, "s": synapses(3, 6)}, *edges, ("in", "s"), ("s", "m")))
    assert both.nodes["m"].static is static  # type: ignore[union-attr]
    assert both.direct("m") == (["s"] if static else [])


@pytest.mark.parametrize("name", NETWORKS)
def test_no_pass_changes_its_argument_and_each_keeps_the_level_legal(name: str) -> None:
    current = trace(build(name), torch.zeros(NETWORKS[name][1]), timesteps=4, coding=NETWORKS[name][2])
    for lower in TO_FLOAT:
        assert check(current, "traced") == []
        frozen = _copy(current)
        lowered = lower(current)
        assert differences(frozen, current) == []
        assert current.edges == frozen.edges
        current = lowered
    assert check(current, "float") == []
    assert differences(current, to_float(current)) == []  # nothing left to lower


def _copy(original: Graph) -> Graph:
    def fresh(node: Node) -> Node:
        arrays = {key: value.copy() for key, value in vars(node).items() if isinstance(value, np.ndarray)}
        if isinstance(node, Synapses):
            arrays["map"] = replace(node.map, weight=node.map.weight.copy())
        return replace(node, **arrays)

    nodes = {name: fresh(node) for name, node in original.nodes.items()}
    return replace(original, nodes=nodes, edges=tuple(original.edges))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_lowered_graph_fires_as_the_module_except_within_rounding_of_the_threshold(
    name: str, seed: int
) -> None:
    coding = NETWORKS[name][2]
    module, given = build(name, seed), samples(name, count=8, timesteps=STEPS, seed=seed)
    lowered = to_float(trace(module, torch.zeros(NETWORKS[name][1]), timesteps=STEPS, coding=coding))
    run = run_float(lowered, given)
    spikes, _ = stepped(module, given, STEPS, coding)
    total = wrong = 0
    for population in lowered.select(LIF):
        raster = spikes[population]
        assert 0.01 < raster.mean() < 0.99, f"{population} shows nothing"
        total, wrong = total + raster.size, wrong + int((run.spikes[population] != raster).sum())
    # Folding rounds each weight once more: now and then a current lands on the other side of a threshold.
    assert wrong <= 1 + total // 20_000, f"{wrong} of {total}"


def test_without_normalisation_the_lowered_graph_fires_exactly_as_the_module() -> None:
    module, given = build("sequential"), samples("sequential", count=16, timesteps=STEPS)
    lowered = to_float(trace(module, torch.zeros(1, 7, 5), timesteps=STEPS, coding="spikes"))
    run = run_float(lowered, given)
    spikes, _ = stepped(module, given, STEPS, "spikes")
    assert all((run.spikes[name] == raster).all() for name, raster in spikes.items())


class Diamond(nn.Module):
    """What one layer of neurons sends takes three ways into the next, two of them of the same form."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.wide = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.left, self.right = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 3, 1, bias=bias)
        self.n, self.m = leaky(0.8, 0.3), leaky(0.8, 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.n(self.first(x))
        stream = self.wide(spikes)
        return self.m(self.left(stream) + self.right(stream) + spikes)  # type: ignore[no-any-return]


@pytest.mark.parametrize("bias", [True, False])
def test_ways_of_one_form_from_one_population_become_one_group(bias: bool) -> None:
    module, given = Diamond(bias), (RNG.random((5, 6, 2, 4, 5)) < 0.4).astype(np.float32)
    lowered = to_float(trace(module, torch.from_numpy(given[0, 0]), timesteps=6, coding="spikes"))
    groups = [lowered.nodes[s] for s in lowered.sources("m")]
    shapes = [g.map.weight.shape for g in groups if isinstance(g, Synapses)]
    assert sorted(shapes) == [(3, 1, 1, 1), (3, 3, 3, 3)]
    run, source = run_float(lowered, given), run_module(module, torch.from_numpy(given), 6, coding="spikes")
    for name, spikes in run.spikes.items():
        assert (spikes == source.spikes[name]).all(), name
    assert run.spikes["m"].any()


def test_a_bias_that_is_the_same_for_a_channel_is_kept_once_a_channel() -> None:
    """Sums of double precision differ in their last digit from pixel to pixel."""
    for seed in range(8):
        torch.manual_seed(seed)
        stream = [nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 12, 1)]
        for layer in stream:
            nn.init.normal_(layer.bias)  # type: ignore[arg-type]
        module = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), leaky(0.5, 0.5), *stream, leaky(0.5, 0.5))
        lowered = to_float(trace(module, torch.zeros(1, 8, 7), timesteps=2, coding="spikes"))
        (last,) = lowered.sources("5")
        synapses = lowered.nodes[last]
        assert isinstance(synapses, Synapses)
        assert synapses.bias is not None
        assert synapses.bias.shape == (12,)


def test_views_that_nobody_looks_at_go_and_what_is_used_stays() -> None:
    first, second = synapses(5, 3), synapses(2, 5)
    joined = Select((10,), np.arange(10) % 5)
    given = graph(
        {"in": Input((3,), "spikes"), "a": first, "s": lif(5), "cat": joined, "part": Select((4,), np.arange(4)), "flat": Reshape((2, 2)),
         "b": second, "out": lif(2), "end": Output((2,))},
        ("in", "a"), ("a", "s"), ("s", "cat"), ("cat", "part"), ("part", "flat"), ("s", "b"), ("b", "out"), ("out", "end"),
    )  # fmt: skip
    lowered = remove_unseen(given)
    assert set(lowered.nodes) == set(given.nodes) - {"cat", "part", "flat"}
    assert set(lowered.edges) == {(a, b) for a, b in given.edges if {a, b} <= set(lowered.nodes)}
    assert not check(to_float(given), "float")


def test_a_layer_behind_a_view_that_feeds_nothing_is_named() -> None:
    given = graph(
        {"in": Input((3,), "spikes"), "a": synapses(5, 3), "s": lif(5), "cat": Select((10,), np.arange(10) % 5), "side": synapses(2, 10),
         "end": Output((5,))},
        ("in", "a"), ("a", "s"), ("s", "cat"), ("cat", "side"), ("s", "end"),
    )  # fmt: skip
    with pytest.raises(ExportError, match="side: feeds nothing; remove the layer or connect it"):
        to_float(given)
