"""What the tracer refuses: each message names the module or operation, the field, and a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from spikewright.export.errors import ExportError
from spikewright.export.passes import to_float
from spikewright.export.trace import trace
from spikewright.models.temporal import CausalConv3d
from tests.export.networks import Explicit, Written, leaky

Step = Callable[[Any, Any], Any]


def refused(module: nn.Module, *words: str, shape: tuple[int, ...] = (6,), **settings: Any) -> None:
    """The whole way to the float level ends in an error that says every one of the words."""
    with pytest.raises(ExportError) as caught:
        to_float(trace(module, torch.zeros(shape), **{"timesteps": 4, "coding": "spikes", **settings}))
    for word in words:
        assert word in str(caught.value), str(caught.value)


def _renamed() -> snn.Leaky:
    neuron = snn.Leaky(beta=0.5, init_hidden=True)  # built to subtract
    neuron.reset_mechanism = "zero"
    return neuron


class _OwnStep(snn.Leaky):
    def forward(self, input_: Tensor, mem: Tensor | None = None) -> Tensor:
        return input_ > 1


NEURONS: list[tuple[Callable[[], nn.Module], tuple[str, ...]]] = [
    (lambda: leaky(reset_mechanism="none"), ("reset_mechanism", "'none'", "'zero'", "'subtract'")),
    (lambda: leaky(reset_mechanism="subtract", reset_delay=False), ("reset_delay=False", "reset_delay=True")),
    (_renamed, ("reset_mechanism", "'zero'", "'subtract'")),
    (lambda: leaky(graded_spikes_factor=0.5), ("graded_spikes_factor", "0.5", "only 1.0")),
    (lambda: leaky(graded_spikes_factor=torch.linspace(1, 2, 5)), ("graded_spikes_factor", "1 to 2")),
    (lambda: leaky(inhibition=True), ("inhibition", "only False")),
    (lambda: leaky(state_quant=lambda mem: mem), ("state_quant", "only False")),
    (lambda: leaky(threshold=torch.ones(2, 1)), ("2 thresholds for 5 neurons", "one a neuron")),
    (lambda: leaky(threshold=torch.tensor([1.0, 1, 0, 1, 1])), ("threshold", "not above zero")),
    (lambda: leaky(spike_grad=lambda x: (x >= 0).float()), ("spike_grad", "[0.0, 1.0, 1.0]", "0, 0, 1")),
    (lambda: _OwnStep(0.5, init_hidden=True, reset_mechanism="zero"), ("_OwnStep", "snn.Leaky")),
    (
        lambda: snn.Synaptic(0.9, 0.5, init_hidden=True, reset_mechanism="zero"),
        ("Synaptic", "reset_delay=False"),
    ),
    (
        lambda: snn.RLeaky(0.5, linear_features=5, init_hidden=True, reset_mechanism="zero"),
        ("RLeaky", "reset_delay=False"),
    ),
    (lambda: snn.RSynaptic(0.9, 0.5, linear_features=5, init_hidden=True), ("RSynaptic", "loses the reset")),
    (lambda: snn.Alpha(0.9, 0.5, init_hidden=True), ("Alpha", "snn.Leaky")),
    (lambda: snn.Lapicque(0.5, init_hidden=True), ("Lapicque", "snn.Leaky")),
]


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize(("build", "words"), NEURONS)
def test_a_neuron_that_the_chip_lacks_is_named(
    build: Callable[[], nn.Module], words: tuple[str, ...]
) -> None:
    neuron = build()
    refused(nn.Sequential(nn.Linear(6, 5), neuron), "1: ", *words)


def _linear(step: Step, **parts: nn.Module) -> nn.Module:
    return Written(step, fc=nn.Linear(6, 5), **{"lif": leaky(), **parts})


def _twice(m: Any, x: Any) -> Any:
    for _ in range(3):
        out = m.lif(m.fc(x))
    return out


def _loop_over_data(m: Any, x: Any) -> Any:
    return torch.stack([m.lif(m.fc(x[t])) for t in range(x.shape[0])])


FUNCTIONS: list[tuple[str, Step, tuple[str, ...]]] = [
    ("relu function", lambda m, x: m.lif(torch.relu(m.fc(x))), ("relu:", "function relu", "supported")),
    ("functional relu", lambda m, x: m.lif(nn.functional.relu(m.fc(x))), ("relu:", "supported")),
    ("relu method", lambda m, x: m.lif(m.fc(x).relu()), ("relu:", "method .relu()", "supported")),
    ("constant added", lambda m, x: m.lif(m.fc(x) + 1.0), ("add:", "1.0", "bias")),
    (
        "added to itself",
        lambda m, x: m.lif((lambda y: y + y)(m.fc(x))),
        ("add:", "itself", "scale the weights"),
    ),
    (
        "scaled addition",
        lambda m, x: m.lif(torch.add(m.fc(x), m.skip(x), alpha=0.5)),
        ("add:", "alpha", "scale"),
    ),
    ("broadcast addition", lambda m, x: m.lif(m.fc(x) + m.one(x)), ("add:", "(5,), (1,)", "equal")),
    ("first sample", lambda m, x: m.lif(m.fc(x))[0], ("getitem:", "batch axis first")),
    ("a product of currents", lambda m, x: m.lif(m.fc(x) * m.skip(x)), ("mul:", "fc", "no spike train")),
    (
        "a current held back",
        lambda m, x: m.lif(m.late(m.fc(x).reshape(-1, 1, 1, 5)).flatten(1)),
        ("late", "looks back on reshape", "only spikes"),
    ),
    (
        "a squared current",
        lambda m, x: (lambda y: m.lif(y * y))(m.fc(x)),
        ("mul:", "squares fc", "no spike train"),
    ),
    ("a quotient", lambda m, x: m.lif(m.fc(x) / m.skip(x)), ("truediv:", "divides")),
    ("the largest of currents", lambda m, x: m.lif(nn.functional.max_pool1d(m.fc(x), 5)), ("max_pool1d:",)),
    ("concatenated samples", lambda m, x: m.lif(m.fc(torch.cat([x, x], 0))), ("cat:", "batch axis")),
    ("flipped samples", lambda m, x: m.lif(m.fc(torch.flip(x, [0]))), ("flip:", "mixes the samples")),
    ("batch in a view", lambda m, x: m.lif(m.fc(x)).view(1, -1), ("view:", "batch", "axis 1")),
    ("batch in a flatten", lambda m, x: m.lif(m.fc(x)).flatten(), ("flatten:", "batch", "axis 1")),
    ("time loop", _twice, ("fc:", "more than once", "time loop outside")),
    ("loop over data", _loop_over_data, ("forward", "one time step")),
    (
        "branch on values",
        lambda m, x: m.lif(m.fc(x)) if x.sum() > 0 else x,
        ("forward", "branching on values"),
    ),
    ("length of data", lambda m, x: m.lif(m.fc(x)) if len(x) else x, ("forward", "cannot be traced")),
    ("a dictionary", lambda m, x: {"spikes": m.lif(m.fc(x))}, ("returns a", "tuple")),
    ("nothing", lambda m, x: None, ("returns a NoneType",)),
    ("two outputs added", lambda m, x: m.lif(m.fc(x)) + m.other(m.skip(x)), ("output", "lif and other")),
    ("unused layer", lambda m, x: (m.lif(m.fc(x)), m.skip(x))[0], ("skip", "feeds nothing")),
    ("tanh inside", lambda m, x: m.other(m.back(torch.tanh(m.lif(m.fc(x))))), ("tanh", "read-out")),
    ("current as output", lambda m, x: m.fc(x), ("output", "fc", "end the network with neurons")),
]


@pytest.mark.parametrize(("step", "words"), [f[1:] for f in FUNCTIONS], ids=[f[0] for f in FUNCTIONS])
def test_a_function_without_counterpart_is_named(step: Step, words: tuple[str, ...]) -> None:
    parts = {
        "wide": nn.Linear(12, 5), "skip": nn.Linear(6, 5),
        "one": nn.Linear(6, 1), "drop": nn.Dropout(), "other": leaky(threshold=0.3), "last": leaky(),
        "back": nn.Linear(5, 5), "forth": nn.Linear(5, 5), "late": CausalConv3d(1, 1, (2, 1, 1)),
    }  # fmt: skip
    refused(_linear(step, **parts), *words)


LAYERS: list[tuple[nn.Module, tuple[int, ...], tuple[str, ...]]] = [
    (nn.ReLU(), (6,), ("0: ", "ReLU", "supported")),
    (
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        (2, 6, 4),
        ("0: ", "padding_mode='circular'", "only zeros"),
    ),
    (nn.Conv2d(2, 3, 3, padding="same"), (2, 6, 4), ("0: ", "padding='same'", "numbers")),
    (nn.Linear(4, 3), (6, 4), ("0: ", "(6, 4)", "flatten")),
    (nn.Flatten(0), (6,), ("0: ", "batch")),
]


@pytest.mark.parametrize(("layer", "shape", "words"), LAYERS)
def test_a_layer_without_counterpart_is_named(
    layer: nn.Module, shape: tuple[int, ...], words: tuple[str, ...]
) -> None:
    refused(nn.Sequential(layer, leaky()), *words, shape=shape)


@pytest.mark.parametrize(
    ("net", "shape", "words"),
    [
        (
            nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False), leaky()),
            (6,),
            ("1: ", "running"),
        ),
    ],
)
def test_a_normalisation_that_cannot_fold_is_named(
    net: nn.Module, shape: tuple[int, ...], words: tuple[str, ...]
) -> None:
    refused(net, *words, shape=shape)


def test_a_shared_module_is_named() -> None:
    lif = leaky()
    refused(nn.Sequential(nn.Linear(6, 6), lif, nn.Linear(6, 6), lif), "1: ", "more than once", "module")


def test_a_sample_of_the_wrong_shape_names_the_layer_it_does_not_pass() -> None:
    refused(nn.Sequential(nn.Linear(6, 5), leaky()), "(7,)", " 0 ", "2x7 and 6x5", shape=(7,))


def test_a_diverged_network_names_the_weights() -> None:
    net = nn.Sequential(nn.Linear(6, 5), leaky())
    net[0].weight.data[2, 3] = np.nan  # type: ignore[union-attr,index]
    refused(net, "0.weight", "1 NaN", "diverged")


def test_a_second_input_is_not_taken_for_a_state() -> None:
    class Two(Explicit):
        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:  # type: ignore[override]
            return self.lif1(self.fc1(y))[0]  # type: ignore[no-any-return]

    refused(Two(), "fc1")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            lambda m, x, a, b: m.lif2(m.fc2(m.lif1(m.fc1(x), a)[0]), a)[0],
            ("lif2", "shares the membrane mem1", "lif1"),
        ),
        (lambda m, x, a, b: m.lif1(m.fc1(x), a + b)[0], ("does not pass add",)),
        (lambda m, x, a, b: m.lif1(m.fc1(x), m.fc1(x))[0], ("fc1", "more than once")),
        (lambda m, x, a, b: m.lif2(m.fc2(m.lif1(m.fc1(x), a)[0]), m.fc2.bias)[0], ("does not pass lif2",)),
        (
            lambda m, x, a, b: m.lif1(m.fc1(x), m.lif1.init_leaky())[0],
            ("lif1", "forgets", "init_hidden=True"),
        ),
        (lambda m, x, a, b: m.lif1(m.fc1(x), m.lif1.reset_mem())[0], ("lif1", "forgets", "init_hidden=True")),
        (lambda m, x, a, b: m.lif2(m.fc2(m.lif1(m.fc1(x), a)[1]), b)[0], ("lif1", "membrane", "'none'")),
        (lambda m, x, a, b: m.lif1(m.fc1(x), a)[::-1], ("getitem", "slice")),
    ],
)
def test_a_membrane_that_is_not_the_neurons_own_is_named(
    step: Callable[..., Any], words: tuple[str, ...]
) -> None:
    class Odd(Explicit):
        def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> Any:
            return step(self, x, mem1, mem2)

    refused(Odd(), *words)


def test_a_membrane_and_spikes_of_one_neuron_cannot_both_go_on() -> None:
    def step(m: Any, x: Any) -> Any:
        spikes, membrane = m.lif(m.fc(x))
        return m.last(m.back(spikes) + m.forth(membrane))

    parts = {"lif": leaky(output=True), "last": leaky(), "back": nn.Linear(5, 5), "forth": nn.Linear(5, 5)}
    refused(_linear(step, **parts), "lif", "both spikes and membrane")


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"timesteps": 0}, "timesteps is 0"), ({"coding": "rate"}, "'rate'"), ({"coding": ""}, "coding")],
)
def test_a_setting_that_means_nothing_is_named(settings: dict[str, Any], word: str) -> None:
    refused(nn.Sequential(nn.Linear(6, 5), leaky()), word, **settings)


def test_a_direct_input_beside_spikes_asks_for_neurons_without_a_current_of_their_own() -> None:
    """A bias goes into the membrane; what leaks on its way there would have to be spikes."""
    slow = snn.Synaptic(alpha=0.5, beta=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False)
    parts = {"other": slow, "back": nn.Linear(5, 5), "skip": nn.Linear(6, 5)}
    step = _linear(lambda m, x: m.other(m.back(m.lif(m.fc(x))) + m.skip(x)), **parts)
    refused(step, "other", "encode the input in neurons without alpha", coding="direct")


def test_a_direct_input_into_a_read_out_is_refused() -> None:
    net = Written(
        lambda m, x: m.lif(m.fc(x))[1], fc=nn.Linear(6, 5), lif=leaky(reset_mechanism="none", output=True)
    )
    refused(net, "fc", "real values of input", coding="direct")
