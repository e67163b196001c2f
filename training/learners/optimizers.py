"""Optimizers, and the average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
BETAS = (0.9, 0.99)
# Of Muon: how much of the mean gradient each step keeps, and the iteration's polynomial.
MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
# What the average keeps of itself at each step of a long run; less before: about the last tenth of
# the steps count.
AVERAGE_DECAY = 0.999
AVERAGE_DELAY = 9


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each weight matrix is made orthogonal.

    So every direction moves alike (Jordan et al. 2024, "Muon: an optimizer for hidden layers in
    neural networks"). A convolution's weights are a matrix with a row for each output channel.
    PyTorch's own takes no convolutions, and computes in bfloat16 on every processor: one that
    emulates it needs more time for a step than for the losses and their gradients.
    """

    def __init__(self, groups: Sequence[Iterable[Tensor]], dtype: torch.dtype) -> None:
        """Take groups of weights, C_out x C_in x k x k, contiguous; each has a rate of its own.

        Args:
            groups: the weights.
            dtype: in which updates are made orthogonal: bfloat16 is precise enough.
        """
        super().__init__([{"params": list(group)} for group in groups], {})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:  # type: ignore[override]
        """Change the weights by their gradients, each group at its rate."""
        for group, rate in zip(self.param_groups, rates, strict=True):
            for weight in group["params"]:
                gradient = weight.grad.flatten(1)
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                momentum = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
                ahead = gradient.lerp(momentum, MOMENTUM)  # Nesterov's
                update = orthogonal(ahead.to(self._dtype))
                rows, columns = update.shape
                weight.view(rows, columns).add_(update, alpha=-rate * max(1, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors, and singular values of 1 or thereabouts.

    Five steps of Newton's and Schulz's iteration, as Jordan et al. 2024 tuned it: the values end
    between 0.6 and 1.3, and only products of matrices are needed.
    """
    rows, columns = matrix.shape
    if rows > columns:
        return orthogonal(matrix.T).T
    x: Tensor = matrix / matrix.norm().clamp(min=1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def take_step(optimizer: torch.optim.Optimizer, rate: float, largest_norm: float) -> None:
    """Change the optimizer's weights by their gradients, which are bounded in their norm."""
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], largest_norm)
        group["lr"] = rate
    optimizer.step()


class Average(Generic[Network]):
    """The exponential mean of a network's weights, which paints better than any one step's.

    Attributes:
        network: with these weights.
    """

    def __init__(self, network: Network) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._updates = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take in the weights of a step."""
        self._updates += 1
        decay = min(AVERAGE_DECAY, self._updates / (self._updates + AVERAGE_DELAY))
        for average, current in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return {"network": self.network.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.network.load_state_dict(state["network"])
        self._updates = state["updates"]
