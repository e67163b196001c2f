"""The Stylizer: content and style pictures in, the stylized picture out."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from model import image as pictures
from model import weights as weights_files
from model.adain import ChannelStatistics, channel_statistics
from model.decoder import Decoder
from model.device import (
    choose_device,
    choose_precision,
    is_out_of_memory,
    reuse_freed_memory,
    within_memory,
)
from model.encoder import MIN_SIDE, STRIDE, Encoder
from model.painting import Painting
from model.parameters import DEFAULT_STYLE_SIZE, check_range, fit_style
from model.tiling import OnTile, stylize_tiles
from model.transfer import Transfer

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
        encoder_path = encoder or weights_files.bundled("encoder")
        decoder_path = decoder or weights_files.bundled("decoder")
        encoder_network, decoder_network = weights_files.load_encoder(encoder_path), Decoder()
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
        painting = Painting.plan(
            content,
            len(styles),
            weights=weights,
            alpha=alpha,
            masks=masks,
            preserve_color=preserve_color,
            size=size,
        )
        [painted] = self.paint([painting], [styles], tile=tile, on_tile=on_tile)
        return painting.finish(painted)

    @torch.inference_mode()
    def paint(
        self,
        paintings: Sequence[Painting],
        styles: Sequence[Sequence[ChannelStatistics]],
        *,
        tile: int | None = None,
        on_tile: OnTile = lambda done, total: None,
    ) -> list[np.ndarray]:
        """Return the painted pixels of paintings, each with styles of its own, for their `finish`.

        Args:
            paintings: one, or several of one size, which run through the networks as one batch.
            styles: those of each painting.
            tile, on_tile: as for `stylize`; a batch is never painted in tiles.

        Returns:
            H x W x 3, uint8, as each painting's `pixels()`.

        Raises:
            ParameterError: `tile` is out of range.
            DeviceError: one painting does not fit the device's memory even in tiles.
            RuntimeError: a batch does not fit the device's memory.
        """
        if tile is not None:
            check_range("tile", tile, MIN_TILE, math.inf)
        pixels = [painting.pixels() for painting in paintings]
        transfers = [
            Transfer(painting, own, self.device)
            for painting, own in zip(paintings, styles, strict=True)
        ]
        if len(paintings) > 1:
            return self._paint_whole(pixels, transfers)
        return [self._paint_one(pixels[0], transfers[0], tile, on_tile)]

    def _paint_one(
        self, pixels: np.ndarray, transfer: Transfer, tile: int | None, on_tile: OnTile
    ) -> np.ndarray:
        """Paint with the first of several ways that the memory suffices for."""
        if tile is not None:
            sides = [tile]
        elif pixels.shape[0] * pixels.shape[1] <= MAX_UNTILED_PIXELS:
            sides = [max(pixels.shape), TILE, TILE // 2]
        else:
            sides = [TILE, TILE // 2]
        for side in sides[:-1]:
            try:
                return self._paint_in(side, pixels, transfer, on_tile)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
        with within_memory(self.device):
            return self._paint_in(sides[-1], pixels, transfer, on_tile)

    def _paint_in(
        self, side: int, pixels: np.ndarray, transfer: Transfer, on_tile: OnTile
    ) -> np.ndarray:
        """Paint in tiles of `side` pixels, or as a whole what is no larger."""
        if max(pixels.shape) <= side:
            return self._paint_whole([pixels], [transfer])[0]
        return stylize_tiles(
            pixels, side, transfer.measured, self._encode, transfer.part, self.decoder, on_tile
        )

    def _paint_whole(
        self, pixels: Sequence[np.ndarray], transfers: Sequence[Transfer]
    ) -> list[np.ndarray]:
        features = torch.split(self._encode(*pixels), 1)
        targets = torch.cat([t.whole(part) for t, part in zip(transfers, features, strict=True)])
        del features
        decoded: Tensor = self.decoder(targets)
        return [pictures.to_pixels(part) for part in torch.split(decoded, 1)]

    def _encode(self, *batch: np.ndarray) -> Tensor:
        """Return relu4_1, N x 512 x H/8 x W/8, of N arrays of H x W x 3 pixels."""
        tensors = [pictures.to_tensor(pixels, self.device) for pixels in batch]
        features: Tensor = self.encoder(torch.cat(tensors))
        return features

    def _prepare(self, network: Network) -> Network:
        # Channels last is the layout that convolutions are fastest in, on the CPU and on CUDA.
        network.to(self.device, self.dtype).to(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)
