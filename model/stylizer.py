"""The Stylizer: content and style pictures in, the stylized picture out."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image, ImageChops
from torch import Tensor, nn
from torch.nn import functional as F

from model import image as pictures
from model import weights as weights_files
from model.adain import ChannelStatistics, adain, adain_regions, channel_statistics, mix
from model.color import keep_color
from model.decoder import Decoder
from model.device import choose_device, choose_precision, reuse_freed_memory
from model.encoder import MIN_SIDE, STRIDE, Encoder
from model.errors import DeviceError
from model.parameters import (
    DEFAULT_STYLE_SIZE,
    MIN_SIZE,
    check_range,
    fit_masks,
    fit_style,
    normalize_weights,
)

Network = TypeVar("Network", bound=nn.Module)


class Stylizer:
    """An encoder and a decoder on one device, in one precision.

    Not bound to a thread, but one call at a time makes best use of the device.

    Attributes:
        encoder, decoder: the networks, frozen.
        device, dtype: where and in which precision they run.
        encoder_path, decoder_path: the files that they came from, where they came from files.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        self.encoder = self._prepare(encoder)
        self.decoder = self._prepare(decoder)
        self.encoder_path: Path | None = None
        self.decoder_path: Path | None = None

    @classmethod
    def load(
        cls,
        *,
        encoder: Path | None = None,
        decoder: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> Stylizer:
        """Load weights, by default the bundled ones, on the best device in its best precision.

        Args:
            encoder, decoder: safetensors files; None means the bundled ones.
            device: auto, cpu, cuda, cuda:1, ...
            precision: auto, float32, bfloat16 or float16.

        Raises:
            WeightsError: a file is missing, damaged, or fits no encoder or decoder.
            DeviceError: the device or the precision is unknown or absent.
        """
        target = choose_device(device)
        dtype = choose_precision(precision, target)
        if target.type == "cpu":
            reuse_freed_memory()
        encoder_network, decoder_network = Encoder(), Decoder()
        encoder_path = encoder or weights_files.bundled("encoder")
        decoder_path = decoder or weights_files.bundled("decoder")
        weights_files.load_weights(encoder_network, encoder_path)
        weights_files.load_weights(decoder_network, decoder_path)
        stylizer = cls(encoder_network, decoder_network, device=target, dtype=dtype)
        stylizer.encoder_path, stylizer.decoder_path = encoder_path, decoder_path
        return stylizer

    def __repr__(self) -> str:
        precision = str(self.dtype).removeprefix("torch.")
        return f"Stylizer(device={str(self.device)!r}, precision={precision!r})"

    @functools.cached_property
    def encoder_fingerprint(self) -> str:
        """What statistics depend on beside picture and size: names the encoder in its precision."""
        return weights_files.fingerprint(self.encoder)

    @torch.inference_mode()
    def encode_style(
        self, style: Image.Image, *, style_size: int = DEFAULT_STYLE_SIZE
    ) -> ChannelStatistics:
        """Return all that `stylize` needs to know of a style picture; encode once, use often.

        Args:
            style: any PIL image; transparency is laid over white.
            style_size: the shorter side, in pixels, at which the style is seen, 64 to 1024; the
                brush strokes grow with it. Styles beyond 4:1 are seen smaller.

        Returns:
            The statistics at relu4_1, 1 x 512 x 1 x 1 each, on the CPU.

        Raises:
            ParameterError: `style_size` is out of range.
        """
        features = self._encode(fit_style(style, style_size))
        return channel_statistics(features).to(torch.device("cpu"))

    @torch.inference_mode()
    def stylize(
        self,
        content: Image.Image,
        styles: ChannelStatistics | Sequence[ChannelStatistics],
        *,
        weights: Sequence[float] | None = None,
        alpha: float = 1.0,
        masks: Sequence[Image.Image] | None = None,
        preserve_color: bool = False,
        size: int | None = None,
    ) -> Image.Image:
        """Return the content picture in the style, or in a mix of styles.

        Args:
            content: any PIL image, 1 x 1 pixels and up.
            styles: one style or several, as `encode_style` returns them.
            weights: one per style, above 0; normalised to sum 1. None: all alike.
            alpha: in [0, 1]; 1 is the full style, 0 the decoder's reconstruction of the content.
            masks: one per style, white where the style goes, of the content's aspect ratio. Where
                masks overlap, styles mix; where none is white, the content shows untouched.
            preserve_color: keep the content's colours and take on the style's strokes alone.
            size: longest side of the result in pixels, 16 or more. None: as the content.

        Returns:
            RGB, or RGBA with the content's own alpha channel; the content's size after EXIF
            orientation, or scaled to `size`.

        Raises:
            ParameterError: an argument is out of range, or arguments do not fit each other.
            DeviceError: the picture does not fit the device's memory.
        """
        styles = [styles] if isinstance(styles, ChannelStatistics) else list(styles)
        shares = normalize_weights(weights, len(styles))
        check_range("alpha", alpha, 0, 1)
        content = pictures.normalize(content)
        if size is not None:
            check_range("size", size, MIN_SIZE, math.inf)
            content = pictures.resize_longest(content, size)
        rgb, opacity = pictures.split_alpha(content)
        regions = None if masks is None else fit_masks(masks, len(styles), rgb.size)
        try:
            result = self._paint(rgb, opacity, styles, shares, alpha, regions)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"a {rgb.width}x{rgb.height} picture does not fit the memory of {self.device}; "
                "choose a smaller size"
            ) from error
        if preserve_color:
            result = keep_color(result, rgb)
        if regions is not None:
            result = Image.composite(result, rgb, cover(regions))
        if opacity is not None:
            result.putalpha(opacity)
        return result

    def _paint(
        self,
        content: Image.Image,
        opacity: Image.Image | None,
        styles: Sequence[ChannelStatistics],
        shares: Sequence[float],
        alpha: float,
        masks: Sequence[Image.Image] | None,
    ) -> Image.Image:
        features = self._encode(content)
        styles = [style.to(self.device) for style in styles]
        # What nobody sees, such as the black behind a cut-out, has no say in the statistics.
        visible = None if opacity is None else self._region(opacity, features)
        if masks is None:
            target = adain(features, mix(styles, shares), channel_statistics(features, visible))
        else:
            regions = [self._region(mask, features) for mask in masks]
            if visible is not None:
                regions = [region * visible for region in regions]
            target = adain_regions(features, styles, shares, regions)
        target = torch.lerp(features.float(), target, alpha)
        decoded = self.decoder(target)
        return pictures.to_image(decoded[:, :, : content.height, : content.width])

    def _encode(self, image: Image.Image) -> Tensor:
        """Return relu4_1 of an RGB image, 1 x 512 x H/8 x W/8, of the padded size."""
        tensor = pictures.to_tensor(pictures.pad(image, STRIDE, MIN_SIDE))
        features: Tensor = self.encoder(tensor.to(self.device))
        return features

    def _region(self, mask: Image.Image, features: Tensor) -> Tensor:
        """Return how much of each position of `features` a mask (L) covers, in [0, 1]."""
        tensor = pictures.to_tensor(pictures.pad(mask, STRIDE, MIN_SIDE)).to(self.device)
        return F.interpolate(tensor, features.shape[2:], mode="area")

    def _prepare(self, network: Network) -> Network:
        # Channels last is the layout that convolutions are fastest in, on the CPU and on CUDA.
        network.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)


def cover(masks: Sequence[Image.Image]) -> Image.Image:
    """Return the sum of the masks (L), at most white: where any style goes at all."""
    return functools.reduce(ImageChops.add, masks)


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a device's memory is exhausted."""
    # PyTorch has a class for CUDA's exhausted memory, and only a message for the CPU's.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "memory" in str(error)
