"""One process, or one of several that torchrun started."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch

# DistributedDataParallel imports it otherwise, when there is a process group, which would then
# be for ever the default of its functions' arguments.
import torch.distributed.nn
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from model.runtime import OTHER_GPUS, choose_device, choose_precision
from training.errors import TrainingError

Batch = TypeVar("Batch")


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

        Raises:
            DeviceError: there is no such device.
            TrainingError: torchrun would start processes anew that could not find each other.
        """
        target = choose_device(device)
        if not distributed.is_torchelastic_launched():
            return cls(0, 1, target)
        if target.type == "cuda":
            target = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
            torch.cuda.set_device(target)
        store, rank, count = meeting_point()
        backend = "nccl" if target.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
        # Gloo's threads end with their group, once nothing refers to it any more. One that still
        # frees a tensor while Python ends aborts it (github.com/pytorch/pytorch/pull/179291).
        atexit.register(gc.collect)
        return cls(rank, count, target)

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

    def share(self, batches: int | None) -> int:
        """Return how many of a step's batches this process takes; None: one for each process.

        Raises:
            TrainingError: they cannot be shared out evenly.
        """
        batches = batches or self.count
        if batches % self.count:
            raise TrainingError(
                f"{batches} batches a step cannot be shared by {self.count} processes: choose a "
                "multiple of their number"
            )
        return batches // self.count

    def agree(self, step: int) -> None:
        """Check that all processes are at the same step.

        Raises:
            TrainingError: they are not.
        """
        if self.count > 1:
            steps = torch.tensor([step, -step], device=self.device)
            distributed.all_reduce(steps, distributed.ReduceOp.MAX)
            if steps.sum():
                raise TrainingError(
                    f"the processes found checkpoints of different steps, up to {steps[0]}: --out "
                    "must be a folder that all machines share"
                )

    def leave(self) -> None:
        """Wait for the other processes, then leave the group."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def meeting_point() -> tuple[Store, int, int]:
    """Return where the processes of torchrun find each other, this one's rank, and their number.

    torchrun keeps its store when it starts processes anew, and with it the addresses of the dead
    (github.com/pytorch/pytorch/issues/135712). On one machine each start gets keys of its own;
    several machines share no number of the start, so they need a new store.

    Raises:
        TrainingError: several machines would keep a store over a restart.
    """
    several = os.environ["GROUP_WORLD_SIZE"] != "1"
    kept = os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True"
    if several and kept and os.environ["TORCHELASTIC_MAX_RESTARTS"] != "0":
        raise TrainingError(
            "--max-restarts on several machines needs --rdzv-backend c10d and "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in torchrun's environment: without it, processes "
            "that are started anew look for those that died"
        )
    store, rank, count = next(rendezvous("env://"))
    if not several:
        start = os.environ["TORCHELASTIC_RESTART_COUNT"]
        store = PrefixStore(f"start {start}", store)
    return store, rank, count


def add_gradients(
    network: nn.Module,
    batches: Sequence[Batch],
    losses: Callable[[Batch], tuple[Tensor, Tensor]],
) -> Tensor:
    """Add the gradients of the mean loss over batches to a network's.

    Args:
        network: as `Process.wrap` returned it; processes exchange gradients at the last batch.
        batches: one after the other, so that one of them has to fit the memory.
        losses: returns a batch's loss, and what is to be known of it.

    Returns:
        The mean of what is to be known.
    """
    known = []
    for number, batch in enumerate(batches, 1):
        alone = isinstance(network, DistributedDataParallel) and number < len(batches)
        with network.no_sync() if alone else nullcontext():  # type: ignore[operator]
            loss, terms = losses(batch)
            (loss / len(batches)).backward()  # type: ignore[no-untyped-call]
        known.append(terms.detach())
    return torch.stack(known).mean(0)


def training_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype to compute convolutions in.

    As `choose_precision`, except that bfloat16 takes the place of float16, whose small range would
    need the loss to be scaled and which is no faster; and float32 on Apple's and Intel's GPUs, on
    which nobody has tried either.

    Raises:
        DeviceError: `name` is no precision.
    """
    if name == "auto" and device.type in OTHER_GPUS:
        return torch.float32
    dtype = choose_precision(name, device)
    return torch.bfloat16 if dtype is torch.float16 else dtype


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which convolutions are computed in `dtype`, as `training_dtype` says."""
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
