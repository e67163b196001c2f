"""The Stylizer: content and style pictures in, the stylized picture out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor, nn

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
from model.tiling import OnTile, Window, stylize_tiles

# Painted in tiles above this, which take about twice the time and the memory of one tile.
MAX_UNTILED_PIXELS = 2048 * 2048
TILE = 768
MIN_TILE = 64
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
        fitted = fit_style(style, style_size)
        features = self._encode(pictures.pad(fitted, STRIDE, MIN_SIDE))
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
        tile: int | None = None,
        on_tile: OnTile = lambda done, total: None,
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
            tile: side in pixels, 64 or more, of the tiles that a larger picture is painted in: the
                same result in less memory and more time. None: 768 for pictures of more than
                2048 x 2048 pixels, and for those that do not fit the device's memory.
            on_tile: called after each tile with how many are done and how many there are; an error
                that it raises ends the work.

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
        paint = functools.partial(self._paint, rgb, opacity, styles, shares, alpha, regions)
        if tile is not None:
            check_range("tile", tile, MIN_TILE, math.inf)
            tiles: Sequence[int | None] = [tile]
        else:
            small = rgb.width * rgb.height <= MAX_UNTILED_PIXELS
            tiles = [None, TILE, TILE // 2] if small else [TILE, TILE // 2]
        result = self._first_that_fits(paint, tiles, on_tile)
        if preserve_color:
            result = keep_color(result, rgb)
        if regions is not None:
            result = Image.composite(result, rgb, cover(regions))
        if opacity is not None:
            result.putalpha(opacity)
        return result

    def _first_that_fits(
        self, paint: Callable[..., Image.Image], tiles: Sequence[int | None], on_tile: OnTile
    ) -> Image.Image:
        """Return what `paint` gives for the first of the tiles that the memory suffices for."""
        for tile in tiles:
            try:
                return paint(tile=tile, on_tile=on_tile)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                # Without its frames, which hold the tensors that filled the memory.
                reason = error.with_traceback(None)
        raise DeviceError(
            f"the picture does not fit the memory of {self.device}; choose a smaller size"
        ) from reason

    def _paint(
        self,
        content: Image.Image,
        opacity: Image.Image | None,
        styles: Sequence[ChannelStatistics],
        shares: Sequence[float],
        alpha: float,
        masks: Sequence[Image.Image] | None,
        tile: int | None,
        on_tile: OnTile,
    ) -> Image.Image:
        pixels = pictures.pad(content, STRIDE, MIN_SIDE)
        styles = [style.to(self.device) for style in styles]
        # What nobody sees, such as the black behind a cut-out, has no say in the statistics.
        visible = None if opacity is None else self._region(opacity)
        regions = None if masks is None else [self._region(mask) for mask in masks]
        if regions is not None and visible is not None:
            regions = [region * visible for region in regions]

        def transfer(
            features: Tensor, contents: Sequence[ChannelStatistics], window: Window
        ) -> Tensor:
            if regions is None:
                target = adain(features, mix(styles, shares), contents[0])
            else:
                here = [window.of(region) for region in regions]
                target = adain_regions(features, styles, shares, here, contents)
            return torch.lerp(features.float(), target, alpha)

        measured = [visible] if regions is None else regions
        if tile is not None and max(pixels.shape) > tile:
            painted = stylize_tiles(
                pixels, tile, measured, self._encode, transfer, self.decoder, on_tile
            )
        else:
            features = self._encode(pixels)
            contents = [channel_statistics(features, region) for region in measured]
            whole = Window(0, 0, *features.shape[2:])
            painted = pictures.to_pixels(self.decoder(transfer(features, contents, whole)))
        return Image.fromarray(painted[: content.height, : content.width])

    def _encode(self, pixels: np.ndarray) -> Tensor:
        """Return relu4_1, 1 x 512 x H/8 x W/8, of H x W x 3 pixels."""
        features: Tensor = self.encoder(pictures.to_tensor(pixels).to(self.device))
        return features

    def _region(self, mask: Image.Image) -> Tensor:
        """Return how far a mask (L) covers each position, 1 x 1 x H/8 x W/8 in [0, 1]."""
        pixels = pictures.pad(mask, STRIDE, MIN_SIDE)
        height, width = (side // STRIDE for side in pixels.shape)
        blocks = pixels.reshape(height, STRIDE, width, STRIDE)
        covered = blocks.mean((1, 3), dtype=np.float32) / 255
        return torch.from_numpy(covered)[None, None].to(self.device)

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
