"""Where the networks run and in which precision, chosen once at load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from model.errors import DeviceError

# Apple's and Intel's GPUs, where PyTorch has them. They have no float64, and their float16 is used
# where a picture that is painted in it comes out right.
OTHER_GPUS = ("mps", "xpu")
# The most pixels in a batch, by device type. More are hardly faster, take memory, and all of them
# wait for the last.
BATCH_PIXELS = {"cuda": 2048 * 2048, "cpu": 256 * 256}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`; `auto` is CUDA, Apple's or Intel's GPU, or else the CPU.

    Raises:
        DeviceError: no such device is known or present.
    """
    if name == "auto":
        present = (name for name in ("cuda", *OTHER_GPUS) if is_present(name))
        name = next(present, "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(
            f"cannot use device {name!r}: {reason}; choose auto, cpu, cuda, mps or xpu"
        ) from error
    return device


def is_present(name: str) -> bool:
    """Whether this PyTorch finds a GPU of the kind "cuda", "mps" or "xpu"."""
    backend = torch.backends.mps if name == "mps" else getattr(torch, name)
    return bool(backend.is_available())


def precise(tensor: Tensor) -> Tensor:
    """Return a tensor in float64; on the CPU, where its device has no float64."""
    return (tensor.cpu() if tensor.device.type in OTHER_GPUS else tensor).double()


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; one of float64 stays where it is if the device has none."""
    stays = tensor.dtype == torch.float64 and device.type in OTHER_GPUS
    return tensor if stays else tensor.to(device)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype called `name`; `auto` is the fastest that `device` computes natively.

    That is float16 on a GPU, bfloat16 on a CPU that multiplies it in hardware (AVX512-BF16 or AMX;
    elsewhere it is emulated, and slower than float32), and float32 on all others. Channel
    statistics are float32 in every case. On Apple's and Intel's GPUs `Stylizer.load` checks it.

    Raises:
        DeviceError: `name` is no precision.
    """
    if name in PRECISIONS:
        return PRECISIONS[name]
    if name != "auto":
        raise DeviceError(f"unknown precision {name!r}; choose auto, {', '.join(PRECISIONS)}")
    if device.type in ("cuda", *OTHER_GPUS):
        return torch.float16
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        if has.get("avx512_bf16") or has.get("amx_bf16"):
            return torch.bfloat16
    return torch.float32


def explain_precision(dtype: torch.dtype, device: torch.device) -> str:
    """Return the precision with the reason that `auto` would have for or against it."""
    name = str(dtype).removeprefix("torch.")
    if device.type != "cpu":
        return f"{name} on {device.type}"
    has = torch.cpu.get_capabilities()
    known = [each for each in ("amx_bf16", "avx512_bf16") if has.get(each)]
    reason = f"has {known[0]}" if known else "has no bfloat16 in hardware"
    return f"{name} (the processor {reason})"


def bound_compiled_shapes() -> None:
    """Let oneDNN keep fewer compiled convolutions than its 1,024: it compiles one for each shape.

    A picture's convolutions take about 40. Has effect before the first convolution of the process,
    and none where ONEDNN_PRIMITIVE_CACHE_CAPACITY is set already.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


def pictures_at_once(size: tuple[int, int], device: torch.device) -> int:
    """Return how many pictures of a size, in pixels, are best painted as one batch."""
    width, height = size
    return max(1, BATCH_PIXELS.get(device.type, 0) // (width * height))


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a device's memory is exhausted."""
    # PyTorch has an exception class for CUDA's out-of-memory errors, but not for the CPU's.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "memory" in str(error)


@contextmanager
def within_memory(device: torch.device) -> Iterator[None]:
    """Turn an out-of-memory error into a DeviceError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # Drop the traceback: its frames hold the tensors that filled the memory.
        reason = error.with_traceback(None)
        raise DeviceError(
            f"the picture does not fit the memory of {device}; choose a smaller size"
        ) from reason
