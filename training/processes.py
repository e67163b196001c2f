"""One process, or one of several that torchrun started."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from model.device import choose_device, choose_precision


@dataclass(frozen=True, slots=True)
class Process:
    """This process's place among all that train together.

    Attributes:
        rank, count: which of how many; 0 of 1 without torchrun.
        device: where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> Process:
        """Join the processes that torchrun started, if it did.

        Args:
            device: auto, cpu, cuda, ...; under torchrun each process takes a GPU of its own.
        """
        target = choose_device(device)
        if not distributed.is_torchelastic_launched():
            return cls(0, 1, target)
        if target.type == "cuda":
            target = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
            torch.cuda.set_device(target)
        distributed.init_process_group("nccl" if target.type == "cuda" else "gloo")
        return cls(distributed.get_rank(), distributed.get_world_size(), target)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network such that each backward pass averages the gradients of all."""
        return network if self.count == 1 else DistributedDataParallel(network)

    def average(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes; not waited for."""
        if self.count > 1:
            distributed.all_reduce(values)
            values /= self.count
        return values

    def leave(self) -> None:
        """Wait for the others, then part from them."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def training_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype to compute convolutions in.

    As `choose_precision`, except that bfloat16 takes the place of float16, whose small range would
    need the loss to be scaled and which is no faster.

    Raises:
        DeviceError: `name` is no precision.
    """
    dtype = choose_precision(name, device)
    return torch.bfloat16 if dtype is torch.float16 else dtype


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which convolutions are computed in `dtype`, as `training_dtype` says."""
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
