"""nengo-loihi: its emulator of a Loihi chip, one sample at a time.

Input spikes come from neurons off the chip that fire whenever they are told to. Its neurons hold a membrane that decays
towards its current, so that weights are divided by ``1 - beta`` and the threshold; nengo-loihi then discretises them
itself. A layer lags one step behind the one before it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import nengo
import nengo_loihi
import numpy as np
from numpy.typing import NDArray

from .network import INPUT, Network
from .protocol import serve

DT = 0.001


class NengoLoihi:
    """One network of fully connected layers; samples repeat for as long as it runs."""

    def __init__(self, network: Network, inputs: NDArray[Any]) -> None:
        self.network = network
        self.samples = inputs.reshape(len(inputs), network.steps, -1).astype(float)
        self.simulator: Any = self._build(len(self.samples) * network.steps, probed=False)[0]
        self.simulator.run_steps(1)  # what the emulator prepares at the first step

    def _build(self, length: int, probed: bool) -> tuple[Any, dict[str, Any]]:
        steps = self.samples.reshape(-1, self.samples.shape[2])
        silence = np.zeros(steps.shape[1])

        def current(t: float) -> NDArray[Any]:
            step = round(t / DT) - 1
            return steps[step % len(steps)] / DT if not probed or step < length else silence

        probes: dict[str, Any] = {}
        with nengo.Network(seed=0) as model:
            nengo_loihi.add_params(model)
            node = nengo.Node(current, size_out=steps.shape[1])
            source = nengo.Ensemble(
                steps.shape[1],
                1,
                neuron_type=nengo.SpikingRectifiedLinear(),
                gain=np.ones(steps.shape[1]),
                bias=np.zeros(steps.shape[1]),
            )
            model.config[source].on_chip = False
            nengo.Connection(node, source.neurons, synapse=None)
            found = {INPUT: source}
            for layer in self.network.layers:
                if layer.kind == "flatten":
                    found[layer.name] = found[layer.inputs[0]]
                elif layer.kind == "lif":
                    weights = self.network.layer(layer.inputs[0])
                    assert weights.weight is not None
                    found[layer.name] = _population(layer.shape[0], layer.beta)
                    scale = (
                        1 / layer.threshold if layer.beta == 1 else 1 / (layer.threshold * (1 - layer.beta))
                    )
                    nengo.Connection(
                        found[weights.inputs[0]].neurons,
                        found[layer.name].neurons,
                        transform=weights.weight.astype(float) * scale * (1 if layer.beta == 1 else DT),
                        synapse=None,
                    )
                    if probed:
                        probes[layer.name] = nengo.Probe(found[layer.name].neurons)
        return nengo_loihi.Simulator(model, dt=DT, target="sim", progress_bar=False), probes

    def run(self, batch: int) -> None:
        """One more sample."""
        assert batch == 1
        self.simulator.run_steps(self.network.steps)

    def counts(self, batch: int) -> dict[str, NDArray[Any]]:
        """Spikes of each neuron in the first sample, each layer in its own window."""
        assert batch == 1
        steps, out = self.network.steps, {}
        simulator, probes = self._build(steps, probed=True)
        with simulator:
            simulator.run_steps(steps + len(self.network.spiking) + 1)
            for depth, layer in enumerate(self.network.spiking, 1):
                fired = simulator.data[probes[layer.name]] > 0
                out[layer.name] = fired[depth : depth + steps].sum(0)[None]
        return out


def _population(size: int, beta: float) -> Any:
    if beta == 1:
        kind: Any = nengo_loihi.neurons.LoihiSpikingRectifiedLinear()
    else:
        tau = -DT / np.log(beta)
        kind = nengo_loihi.neurons.LoihiLIF(tau_rc=tau, tau_ref=0, min_voltage=-np.inf)
    return nengo.Ensemble(size, 1, neuron_type=kind, gain=np.ones(size), bias=np.zeros(size))


if __name__ == "__main__":
    serve(version("nengo-loihi"), NengoLoihi)
