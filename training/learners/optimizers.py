"""Optimizers, and the average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
BETAS = (0.9, 0.99)
# What the average keeps of itself at each step of a long run; less before: about the last tenth of
# the steps count.
AVERAGE_DECAY = 0.999
AVERAGE_DELAY = 9


class Muon:
    """PyTorch's Muon for convolutions, whose weights it takes as matrices.

    Momentum whose update of each matrix is made orthogonal, so that every direction moves alike
    (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").
    """

    def __init__(self, groups: Sequence[Iterable[Tensor]]) -> None:
        """Take groups of weights, C_out x C_in x k x k, contiguous; each has a rate of its own."""
        self._weights = [list(group) for group in groups]
        # Views: what the optimizer changes are the weights themselves.
        self._matrices = [[nn.Parameter(w.detach().view(len(w), -1)) for w in group]
                          for group in self._weights]  # fmt: skip
        self._optimizer = torch.optim.Muon(
            [{"params": group} for group in self._matrices], weight_decay=0.0
        )

    def step(self, rates: Sequence[float]) -> None:
        """Change the weights by their gradients, each group at its rate."""
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for weights, matrices in zip(self._weights, self._matrices, strict=True):
            for weight, matrix in zip(weights, matrices, strict=True):
                assert weight.grad is not None
                matrix.grad = weight.grad.reshape(len(weight), -1)
        self._optimizer.step()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._optimizer.load_state_dict(state)


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
