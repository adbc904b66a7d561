"""Recurrent current-based classifier of Braille letters, in the shape of the published one (inputs-38-classes)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .augment import jittered
from .current import Synaptic
from .spike_losses import classification

RATES = (0.01, 0.2)  # spikes a step that the rate penalty asks of each hidden neuron


@dataclass(frozen=True)
class BrailleConfig:
    """Size and constants of a :class:`BrailleNet`.

    Attributes
    ----------
    inputs, hidden, classes : int
        Channels of events, recurrent neurons, output neurons.
    timesteps : int
        Steps a sample is presented for.
    alpha, beta : float
        Decays of current and membrane a step, in both populations.
    threshold : float
        In both populations.
    shift, spread, drop : float
        In training, how spikes are moved in time and left out, see :func:`~.augment.jittered`.
    """

    inputs: int = 24
    hidden: int = 38
    classes: int = 7
    timesteps: int = 128
    alpha: float = 0.6
    beta: float = 0.9
    threshold: float = 1.0
    shift: float = 4.0
    spread: float = 1.0
    drop: float = 0.05


class BrailleNet(nn.Module):
    """Linear, recurrent current-based LIF, linear, current-based LIF; all maps with bias.

    :meth:`forward` takes one time step with explicit recurrent spikes and hidden neuron state (deployment),
    :meth:`sequence` whole samples (training).
    """

    def __init__(self, config: BrailleConfig) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.inputs, config.hidden)
        self.recurrent = nn.Linear(config.hidden, config.hidden)
        self.hidden = Synaptic(config.alpha, config.beta, config.threshold)
        self.readout = nn.Linear(config.hidden, config.classes)
        self.output = Synaptic(config.alpha, config.beta, config.threshold)
        # An unchanging input of one spike a step grows by 1 / ((1 - alpha)(1 - beta)); the first steps matter more.
        nn.init.normal_(self.input.weight, 0.0, config.threshold * (1 - config.beta) * 4)
        nn.init.normal_(self.recurrent.weight, 0.0, config.threshold * (1 - config.beta) * 0.5)
        nn.init.normal_(self.readout.weight, 0.0, config.threshold * (1 - config.beta) * 0.5)
        for linear in (self.input, self.recurrent, self.readout):
            nn.init.zeros_(linear.bias)

    def reset(self) -> None:
        """Put all neurons to rest, as between samples."""
        self.hidden.reset_mem()
        self.output.reset_mem()

    def initial(self, batch: int) -> Tensor:
        """Put all neurons to rest and return the zero spikes (batch, hidden) of the step before the first."""
        self.reset()
        return torch.zeros(batch, self.config.hidden, device=self.input.weight.device)

    def forward(self, x: Tensor, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """One time step.

        Parameters
        ----------
        x : Tensor
            Input spikes 0/1, shape (N, inputs).
        spikes : Tensor
            The recurrent population's spikes of the step before, shape (N, hidden).

        Returns
        -------
        output, spikes : Tensor
            Output spikes (N, classes) and the recurrent population's spikes (N, hidden) of this step.
        """
        spikes = self.hidden(self.input(x) + self.recurrent(spikes))
        return self.output(self.readout(spikes)), spikes

    def counts(self, samples: Tensor) -> Tensor:
        """Output spikes of whole samples (N, T, inputs), stepped from rest: shape (N, classes)."""
        spikes = self.initial(len(samples))
        total = torch.zeros(len(samples), self.config.classes, device=spikes.device)
        for x in samples.unbind(1):
            output, spikes = self(x.to(spikes.dtype), spikes)
            total = total + output
        return total

    def sequence(self, samples: Tensor) -> dict[str, Tensor]:
        """Spikes (T, N, ...) of both populations, from rest, for samples (N, T, inputs)."""
        x = samples.to(self.input.weight.dtype).transpose(0, 1)
        hidden, _ = self.hidden.sequence(self.input(x), self.recurrent)
        output, _ = self.output.sequence(self.readout(hidden))
        return {"hidden": hidden, "output": output}

    def losses(
        self, samples: Tensor, rate_penalty: float = 0.0, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Training losses of a batch; ``total`` is what is minimised.

        Parameters
        ----------
        samples : Tensor
            Spikes 0/1, shape (N, T, inputs).
        rate_penalty : float
            Weight of the firing rate regulariser of the recurrent population.
        labels : Tensor
            Classes (N,).
        """
        assert labels is not None
        config = self.config
        if self.training:
            samples = jittered(samples, config.shift, config.spread, config.drop)
        spikes = self.sequence(samples)
        hidden = [spikes["hidden"]]
        return classification(spikes["output"].sum(0), labels, hidden, samples.shape[1], rate_penalty, RATES)

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate."""
        return [{"params": list(self.parameters()), "lr": lr}]
