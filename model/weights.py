"""Weights files: find, verify, load and save (safetensors only; no pickle is ever read)."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from model.errors import WeightsError
from model.files import write_whole
from model.networks.convolutions import WIDTHS
from model.networks.decoder import Decoder
from model.networks.encoder import LAYERS, TAPS, Encoder
from model.networks.plain_decoder import PlainDecoder
from model.networks.style_network import StyleNetwork

# On the picture of `dead_leaves`, the mean activation of each tap must be 1 within a factor of
# LEVEL, and that of the median filter of the first two taps within SPREAD; deeper filters respond
# to things that the picture does not show. The bundled encoder is off by 1.5 and 1.5; the same
# function with its filters' scales spread by e by 2.8 and 2.5, random filters by 7 and 8.
LEVEL = 3.0
SPREAD = 2.0
PROBE_SIDE = 128
# The names of networks in messages, where the class's name will not do.
KINDS: dict[type[nn.Module], str] = {PlainDecoder: "decoder", StyleNetwork: "style network"}
# The decoder's layers whose outputs are as wide as `widths` says.
WIDEST = ("conv4_1", "conv3_4", "conv2_2", "conv1_2")


def bundled(name: str) -> Path:
    """Return the path of the bundled weights `name`, "encoder" or "decoder"."""
    return Path(str(files("weights") / f"{name}.safetensors"))


def checksum(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*networks: nn.Module) -> str:
    """Return the SHA-256 of networks' weights in the precision that they are in, hexadecimal."""
    digest = hashlib.sha256()
    for network in networks:
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def load_encoder(path: Path | None = None) -> Encoder:
    """Return the encoder in a file, with as many layers as that has; None: the bundled one.

    Raises:
        WeightsError: see `load_weights`.
    """
    path = path or bundled("encoder")
    found = {name.partition(".")[0] for name in read_tensors("encoder", path)}
    beyond = list(LAYERS)[list(LAYERS).index("conv4_1") :]
    encoder = Encoder(last=[name for name in beyond if name in found or name == "conv4_1"][-1])
    load_weights(encoder, path)
    return encoder


def load_decoder(path: Path | None = None) -> Decoder | PlainDecoder:
    """Return the decoder in a file, of the kind that its tensors are of; None: the bundled one.

    Raises:
        WeightsError: see `load_weights`.
    """
    path = path or bundled("decoder")
    tensors = read_tensors("decoder", path)
    decoder: Decoder | PlainDecoder = PlainDecoder()
    if any(name.startswith("convolutions.") for name in tensors):
        # The file says how wide the decoder is.
        biases = [tensors.get(f"convolutions.{name}.bias") for name in WIDEST]
        decoder = Decoder([n if b is None else len(b) for n, b in zip(WIDTHS, biases, strict=True)])
    load_weights(decoder, path)
    return decoder


def save_style_network(network: StyleNetwork, path: Path) -> None:
    """Write a style network with the names of its styles."""
    save_weights(network, path, note=json.dumps({"styles": network.names}))


def load_style_network(path: Path) -> StyleNetwork:
    """Return the style network in a file.

    Raises:
        WeightsError: the file is missing, damaged, or no style network's.
    """
    read_tensors("style network", path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    try:
        network = StyleNetwork(json.loads(metadata["note"])["styles"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} does not name its styles; use a file that training.network wrote"
        ) from error
    load_weights(network, path)
    return network


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a weights file into a network, and verify it.

    Args:
        network: receives the weights as float32, whatever the file's precision.
        path: a safetensors file with the network's tensor names and shapes.

    Raises:
        WeightsError: the file is missing, damaged, does not fit the network, holds a value that
            is not finite, or is an encoder whose filters are not normalised.
    """
    kind = KINDS.get(type(network), type(network).__name__.lower())
    tensors = read_tensors(kind, path)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise WeightsError(
                f"{path} does not fit the {kind}: {name} should be "
                f"{expected.get(name, 'absent')} and is {found.get(name, 'absent')}; "
                f"use a file that save_weights wrote for a {kind}"
            )
        if not torch.isfinite(tensors[name]).all():
            raise WeightsError(
                f"{path}: {name} holds values that are not finite; train or copy it anew"
            )
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    if isinstance(network, Encoder):
        verify_normalized(network, path)


def read_tensors(kind: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or raise WeightsError."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path}: no such file; the {kind} must be a safetensors file there "
            "(the bundled one comes with the package: reinstall it if it is gone)"
        ) from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file ({error}); copy it anew from its source"
        ) from error


def save_weights(
    network: nn.Module, path: Path, *, dtype: torch.dtype = torch.float16, note: str = ""
) -> None:
    """Write a network's weights; a file that was there before is replaced in one step.

    Args:
        network: a network.
        path: where to write.
        dtype: precision in the file; float16 halves it and costs no visible quality.
        note: free text for the file's metadata, such as how the weights were made.
    """
    tensors = {
        name: tensor.detach().cpu().to(dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    # One entry: safetensors writes several in any order, and equal weights should be equal files.
    write_whole(path, save(tensors, metadata={"note": note}))


def verify_normalized(encoder: Encoder, path: Path) -> None:
    """Refuse an encoder whose filters are not scaled to a mean activation of 1.

    A decoder trained with such an encoder is poor, which nothing else would tell.

    Raises:
        WeightsError: see above; the message names the tap and its mean activation.
    """
    with torch.inference_mode():
        taps = encoder(dead_leaves(PROBE_SIDE))
    for name, tap in zip(TAPS, taps, strict=True):
        means = tap.mean(dim=(0, 2, 3))
        level = means.mean().item()
        spread = math.exp(means.clamp_min(1e-6).log().abs().median().item())
        shallow = name in TAPS[:2]
        if not 1 / LEVEL < level < LEVEL or (shallow and spread > SPREAD):
            raise WeightsError(
                f"{path}: the encoder's filters are not normalised: at {name} the mean activation "
                f"is {level:.3g} and the median filter is off by a factor of {spread:.3g}, where "
                f"at most {LEVEL:g} and {SPREAD:g} are allowed; scale each filter to a mean "
                "activation of 1 over pictures (Gatys et al. 2015) before use"
            )


def dead_leaves(side: int) -> Tensor:
    """Paint a picture with the statistics of photographs: discs that hide one another.

    The dead leaves model (Lee, Mumford & Huang 2001): radii fall off with their cube, so edges and
    contrast are alike at every scale, as in pictures of the world. The same at every call.

    Returns:
        1 x 3 x side x side, float32 in [0, 1].
    """
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    picture = np.zeros((side, side, 3), np.float32)
    for _ in range(2000):
        radius = 2.0 / math.sqrt(random.uniform((2.0 / side) ** 2, 1.0))
        center_y, center_x = random.uniform(0, side, 2)
        # Colours in photographs are mostly grey: one lightness with a little of each channel.
        color = np.clip(random.uniform(0.05, 0.95) + random.normal(0, 0.12, 3), 0, 1)
        picture[(y - center_y) ** 2 + (x - center_x) ** 2 < radius**2] = color
    return torch.from_numpy(picture).permute(2, 0, 1)[None]
