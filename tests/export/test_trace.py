"""What the tracer carries over: every style of network that users write, and the module left as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from spikewright.export.errors import ExportError
from spikewright.export.float_run import run_float
from spikewright.export.graph import LI, LIF, BatchNorm, Graph, HostFunction, Identity, Reshape, Synapses
from spikewright.export.levels import check
from spikewright.export.linear import Conv2d, ConvTranspose2d, Dense
from spikewright.export.passes import to_float
from spikewright.export.trace import trace
from tests.export.networks import NETWORKS, Explicit, Written, build, leaky, readout, samples, stepped

STEPS = 6


def traced(module: nn.Module, *shape: int, coding: str = "spikes") -> Graph:
    return trace(module, torch.zeros(shape), timesteps=STEPS, coding=coding)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_traced_network_is_legal_and_fires_as_the_module(name: str) -> None:
    module, given = build(name), samples(name, timesteps=STEPS)
    _, shape, coding = NETWORKS[name]
    graph = traced(module, *shape, coding=coding)
    assert check(graph, "traced") == []
    spikes, output = stepped(module, given, STEPS, coding)
    run = run_float(to_float(graph), given)
    assert run.spikes.keys() | run.readouts.keys() == spikes.keys()
    for population, raster in run.spikes.items():
        assert 0 < spikes[population].mean() < 1, (
            f"{population} never or always fires: the test shows nothing"
        )
        assert (raster != spikes[population]).sum() <= 2, (
            population
        )  # folding may move a sum across the threshold
    for population, membrane in run.readouts.items():
        assert np.allclose(np.tanh(membrane).reshape(output.shape), output, atol=1e-4), population


def test_every_layer_becomes_one_node_named_by_its_path() -> None:
    graph = traced(build("residual"), 2, 7, 5, coding="direct")
    kinds = {name: type(node) for name, node in graph.nodes.items()}
    assert kinds["stem_0"] is Synapses
    assert kinds["stem_1"] is BatchNorm
    assert kinds["stem_2"] is kinds["joined"] is kinds["out"] is LIF
    assert kinds["drop"] is kinds["add"] is Identity
    assert kinds["flatten"] is Reshape
    assert sorted(graph.sources("add")) == ["left_1", "right"]


def test_settings_of_layers_are_taken_over_exactly() -> None:
    module = build("generator")
    graph = traced(module, 5)
    up = graph.nodes["up"]
    assert isinstance(up, Synapses)
    assert isinstance(up.map, ConvTranspose2d)
    assert (up.map.stride, up.map.padding, up.map.output_padding) == ((2, 1), (1, 0), (1, 0))
    assert up.map.output_shape == (3, 6, 3)
    assert (up.map.weight == module.up.weight.detach().numpy()).all()  # type: ignore[union-attr,operator]
    grouped = traced(build("sequential"), 1, 7, 5).nodes["7"]
    assert isinstance(grouped, Synapses)
    assert isinstance(grouped.map, Conv2d)
    assert grouped.map.groups == 2
    seed = graph.nodes["seed"]
    assert isinstance(seed, LIF)
    assert (seed.beta, seed.threshold.tolist(), seed.shape) == (0.25, [0.5], (4, 3, 2))
    read = graph.nodes["read"]
    assert isinstance(read, LI)
    assert read.beta == pytest.approx(0.8)
    assert any(isinstance(node, HostFunction) and node.kind == "tanh" for node in graph.nodes.values())


def test_a_sample_of_one_step_is_enough() -> None:
    module = nn.Sequential(nn.Linear(6, 5), leaky())
    assert trace(module, torch.zeros(6), timesteps=1, coding="spikes").settings.timesteps == 1


def test_a_normalisation_without_weights_of_its_own_folds_too() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 5), nn.BatchNorm1d(5, affine=False), leaky(0.5, 0.3))
    nn.init.uniform_(net[1].running_var, 0.01, 0.1)
    nn.init.normal_(net[1].running_mean, std=0.1)
    given = (np.random.default_rng(0).random((4, STEPS, 12)) < 0.5).astype(np.float32)
    spikes, _ = stepped(net, given, STEPS, "spikes")
    assert 0.1 < spikes["2"].mean() < 0.9
    assert (run_float(to_float(traced(net, 12)), given).spikes["2"] != spikes["2"]).sum() <= 1


def test_thresholds_a_neuron_and_a_learned_beta_are_taken_over() -> None:
    thresholds = torch.linspace(0.2, 1.0, 5)
    neuron = leaky(torch.tensor(1.3), thresholds, learn_beta=True, learn_threshold=True)
    lif = traced(nn.Sequential(nn.Linear(6, 5), neuron), 6).nodes["1"]
    assert isinstance(lif, LIF)
    assert lif.beta == 1.0  # snnTorch clamps it at every step
    assert (lif.threshold == thresholds.numpy()).all()


@pytest.mark.parametrize(
    "step",
    [
        lambda m, x: m.lif(m.fc(x.view(x.size(0), -1))),
        lambda m, x: m.lif(m.fc(x.reshape(x.shape[0], -1))),
        lambda m, x: m.lif(m.fc(torch.flatten(x, start_dim=1))),
        lambda m, x: m.lif(m.fc(torch.reshape(x, (-1, 12)))),
        lambda m, x: m.lif(m.fc(x.flatten(1)).unflatten(1, (5, 1))).flatten(1),
        lambda m, x: m.lif(input_=m.fc(input=x.flatten(1))),
    ],
)
def test_every_way_to_flatten_is_a_view(step: object) -> None:
    torch.manual_seed(1)
    module = Written(step, fc=nn.Linear(12, 5), lif=leaky(0.5, 0.1))  # type: ignore[arg-type]
    graph = to_float(traced(module, 3, 4))
    given = (np.random.default_rng(0).random((4, STEPS, 3, 4)) < 0.5).astype(np.float32)
    spikes, _ = stepped(module, given, STEPS, "spikes")
    assert (run_float(graph, given).spikes["lif"] == spikes["lif"]).all()
    assert isinstance(graph.nodes["fc"], Synapses)
    assert isinstance(graph.nodes["fc"].map, Dense)


def _in_place(a: Tensor, b: Tensor) -> Tensor:
    a += b
    return a


@pytest.mark.parametrize("add", [lambda a, b: a + b, torch.add, _in_place])
def test_a_residual_addition_is_two_edges(add: object) -> None:
    def step(m: nn.Module, x: Tensor) -> Tensor:
        h = m.one(m.a(x))  # type: ignore[operator]
        return m.two(add(m.b(h), m.c(h)))  # type: ignore[operator]

    module = Written(step, a=nn.Linear(6, 5), b=nn.Linear(5, 4), c=nn.Linear(5, 4), one=leaky(), two=leaky())
    assert sorted(to_float(traced(module, 6)).sources("two")) == ["b", "c"]


def test_membranes_with_a_default_and_handed_back_are_states_and_no_outputs() -> None:
    class Defaults(Explicit):
        def forward(self, x: Tensor, mem1: Tensor | None = None, mem2: Tensor | None = None) -> object:
            return super().forward(x, mem1, mem2)  # type: ignore[arg-type]

    graph = to_float(traced(Defaults(), 6))
    assert graph.sources("output") == ["lif2"]
    assert [n for n in graph.nodes if graph.sources(n) == []] == ["input"]


def test_a_read_out_is_the_neuron_whose_membrane_goes_on() -> None:
    def step(m: nn.Module, x: Tensor) -> object:
        spikes, membrane = m.read(m.fc(x))  # type: ignore[operator,misc]
        return membrane, spikes

    graph = to_float(traced(Written(step, fc=nn.Linear(6, 5), read=readout(0.7)), 6))
    read = graph.nodes["read"]
    assert isinstance(read, LI)
    assert (read.shape, read.beta.tolist()) == ((5,), [pytest.approx(0.7)])


@pytest.mark.parametrize("settings", [{"output": True}, {"init_hidden": False}])
def test_a_neuron_that_never_resets_and_hands_out_both_at_the_end_is_a_read_out(
    settings: dict[str, bool],
) -> None:
    neuron = snn.Leaky(**{"beta": 0.7, "reset_mechanism": "none", "init_hidden": True, **settings})
    graph = to_float(traced(nn.Sequential(nn.Linear(6, 5), neuron), 6))
    assert isinstance(graph.nodes["1"], LI)


def test_equal_betas_are_one_beta() -> None:
    neuron = leaky(torch.full((5,), 0.75))
    assert traced(nn.Sequential(nn.Linear(6, 5), neuron), 6).nodes["1"].beta == 0.75


@pytest.mark.parametrize("taken", ["input", "output", "add"])
def test_a_module_called_like_one_of_our_nodes_keeps_its_name(taken: str) -> None:
    parts = {taken: nn.Linear(6, 5), "skip": nn.Linear(6, 5), "lif": leaky()}
    module = Written(lambda m, x: m.lif(getattr(m, taken)(x) + m.skip(x)), **parts)
    graph = to_float(traced(module, 6))
    assert isinstance(graph.nodes[taken], Synapses)
    assert sorted(graph.sources("lif")) == sorted([taken, "skip"])


def test_paths_that_collide_once_dots_are_gone_stay_apart() -> None:
    module = Written(
        lambda m, x: m.two(m.a_0(m.one(m.a(x)))), a=nn.Sequential(nn.Linear(6, 5)), a_0=nn.Linear(5, 4),
        one=leaky(), two=leaky(),
    )  # fmt: skip
    graph = to_float(traced(module, 6))
    assert len(graph.select(Synapses)) == 2
    assert graph.nodes["output"].shape == (4,)


def state_of(module: nn.Module) -> dict[str, object]:
    state: dict[str, object] = {}
    for path, part in module.named_modules():
        state[f"{path} training"] = part.training
        state |= {f"{path} {key}": value.clone() for key, value in part._buffers.items() if value is not None}
        state[f"{path} attributes"] = sorted(part.__dict__)
    return state


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_is_left_as_it_was(fails: bool) -> None:
    module = build("residual")
    module.train()
    module.stem.eval()  # type: ignore[operator,union-attr]  # a frozen part
    module(torch.randn(3, 2, 7, 5))  # hidden states of a batch under way
    before, weights = state_of(module), copy.deepcopy(module.state_dict())
    if fails:
        with pytest.raises(ExportError):
            traced(module, 2, 5, 7)
    else:
        traced(module, 2, 7, 5)
    after = state_of(module)
    assert after.keys() == before.keys()
    for key, value in before.items():
        same = torch.equal(value, after[key]) if isinstance(value, Tensor) else value == after[key]
        assert same, key
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in weights.items())


def test_a_module_that_keeps_its_membrane_as_an_attribute_is_left_without_stand_ins() -> None:
    class Keeps(Explicit):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            spikes, self.kept = self.lif1(self.fc1(x), None)
            return spikes  # type: ignore[no-any-return]

    module = Keeps()
    traced(module, 6)
    assert not hasattr(module, "kept")


def test_neurons_of_every_surrogate_fire_alike() -> None:
    for surrogate in (
        snn.surrogate.atan(),
        snn.surrogate.fast_sigmoid(),
        snn.surrogate.sigmoid(),
        snn.surrogate.triangular(),
    ):
        assert isinstance(
            traced(nn.Sequential(nn.Linear(6, 5), leaky(spike_grad=surrogate)), 6).nodes["1"], LIF
        )
