"""The Stylizer: content and style pictures in, the stylized picture out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, Unpack

import numpy as np
import torch
from PIL import Image
from torch import nn

from model import weights as weights_files
from model.allocator import FreedMemory, reuse_freed_memory
from model.content_cache import ContentEncoder
from model.controls import (
    CONTENT_CACHE_BYTES,
    DEFAULT_STYLE_SIZE,
    Controls,
    ControlsDict,
    check_range,
    fit_style,
)
from model.images import flatten, split_alpha
from model.networks.decoder import Decoder
from model.networks.encoder import Encoder
from model.networks.plain_decoder import PlainDecoder
from model.painting import Painting
from model.pixels import network_input, to_pixels
from model.runtime import (
    OTHER_GPUS,
    bound_compiled_shapes,
    choose_device,
    choose_precision,
    is_out_of_memory,
    within_memory,
)
from model.self_check import paint_alike
from model.style import Style, StyleLayout, measure
from model.tiling import OnPart, stylize_tiles
from model.transfer import Transfer, to_region

# Larger pictures are painted in tiles, in about twice the time and the memory of one tile.
MAX_UNTILED_PIXELS = 2048 * 2048
TILE, MIN_TILE = 768, 64
Network = TypeVar("Network", bound=nn.Module)


class Stylizer:
    """An encoder and a decoder on one device, in one precision.

    Not bound to a thread, but one call at a time makes best use of the device.

    Attributes:
        encoder, decoder: the networks, frozen.
        device, dtype: where and in which precision they run.
        fingerprint: the weights' fingerprint; a style belongs to the weights that made it.
        layout: what its styles look like.
        encoder_path, decoder_path: the files that they came from, where they came from files.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder | PlainDecoder,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        content_cache_bytes: int = CONTENT_CACHE_BYTES,
    ) -> None:
        """Put the networks on a device.

        Args:
            encoder, decoder: float32, anywhere; they are changed.
            device, dtype: where and in which precision they are to run; by default float32 on the
                CPU.
            content_cache_bytes: most bytes of content features that are kept for the next call.
        """
        self.device = device or torch.device("cpu")
        self.dtype = dtype
        self.fingerprint = weights_files.fingerprint(encoder, decoder)
        self.layout = StyleLayout(self.fingerprint, *decoder.style_shapes)
        self.encoder = self._prepare(encoder)
        self.decoder = self._prepare(decoder)
        self.encoder_path: Path | None = None
        self.decoder_path: Path | None = None
        self._contents = ContentEncoder(self.encoder, self.device, content_cache_bytes)
        self._memory = FreedMemory()

    @classmethod
    def load(
        cls,
        *,
        encoder: Path | None = None,
        decoder: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        content_cache_bytes: int = CONTENT_CACHE_BYTES,
    ) -> Stylizer:
        """Load weights, by default the bundled ones, on the best device in its best precision.

        Args:
            encoder, decoder: safetensors files; None means the bundled ones.
            device: auto, cpu, cuda, cuda:1, mps, xpu
            precision: auto, float32, bfloat16 or float16.
            content_cache_bytes: most bytes of content features that are kept for the next call.

        Raises:
            WeightsError: a file is missing, damaged, or fits no encoder or decoder.
            DeviceError: the device or the precision is unknown or absent.
        """
        target = choose_device(device)
        dtype = choose_precision(precision, target)
        if target.type == "cpu":
            reuse_freed_memory()
            bound_compiled_shapes()
        encoder_path = encoder or weights_files.bundled("encoder")
        decoder_path = decoder or weights_files.bundled("decoder")

        def make(device: torch.device, dtype: torch.dtype) -> Stylizer:
            return cls(
                weights_files.load_encoder(encoder_path),
                weights_files.load_decoder(decoder_path),
                device=device,
                dtype=dtype,
                content_cache_bytes=content_cache_bytes,
            )

        stylizer = make(target, dtype)
        if precision == "auto" and target.type in OTHER_GPUS:
            exact = make(torch.device("cpu"), torch.float32)
            if not paint_alike(stylizer, exact):
                stylizer = make(target, torch.float32)
        stylizer.encoder_path, stylizer.decoder_path = encoder_path, decoder_path
        return stylizer

    def __repr__(self) -> str:
        precision = str(self.dtype).removeprefix("torch.")
        return f"Stylizer(device={str(self.device)!r}, precision={precision!r})"

    @torch.inference_mode()
    def encode_style(self, style: Image.Image, *, style_size: int = DEFAULT_STYLE_SIZE) -> Style:
        """Return all that `stylize` needs to know of a style picture; encode once, use often.

        Args:
            style: any PIL image; what is transparent does not count.
            style_size: the shorter side, in pixels, at which the style is seen, 64 to 1024; the
                brush strokes grow with it. Styles beyond 4:1 are seen smaller.

        Returns:
            The style, on the CPU.

        Raises:
            ParameterError: `style_size` is out of range.
        """
        fitted = fit_style(style, style_size)
        _, opacity = split_alpha(fitted)
        visible = None
        if opacity is not None and opacity.getbbox() is not None:
            visible = to_region(opacity, self.device)
        image = network_input(flatten(fitted), self.device)
        measured = measure(image, self.encoder(image), visible)
        made = replace(measured, modulation=self.decoder.modulate(measured))
        return replace(made, weights=self.fingerprint).to(torch.device("cpu"))

    def stylize(
        self,
        content: Image.Image,
        styles: Style | Sequence[Style],
        *,
        tile: int | None = None,
        on_part: OnPart = lambda done, total: None,
        **controls: Unpack[ControlsDict],
    ) -> Image.Image:
        """Return the content picture in the style, or in a mix of styles.

        Args:
            content: any PIL image, 1 x 1 pixels and up.
            styles: one style or several, as `encode_style` returns them.
            tile: side in pixels, 64 or more, of the tiles that a larger picture is painted in: the
                same result in less memory and more time. None: 768 for pictures of more than
                2048 x 2048 pixels, and for those that do not fit the device's memory.
            on_part: called after each part of the work with how many are done and how many there
                are; an error that it raises ends the work. The parts are tiles, each measured and
                then painted, or, of a picture that is painted at once, its regions.
            controls: alpha, detail, weights, masks, preserve_color, size; see
                `model.controls.Controls`.

        Returns:
            RGB, or RGBA with the content's own alpha channel; the content's size after EXIF
            orientation, or scaled to `size`.

        Raises:
            ParameterError: an argument is out of range, or arguments do not fit each other.
            DeviceError: the picture does not fit the device's memory.
        """
        styles = [styles] if isinstance(styles, Style) else list(styles)
        painting = Painting.plan(content, len(styles), Controls(**controls))
        [painted] = self.paint([painting], [styles], tile=tile, on_part=on_part)
        result = painting.finish(painted)
        assert isinstance(result, Image.Image)  # of 8 bits
        return result

    @torch.inference_mode()
    def paint(
        self,
        paintings: Sequence[Painting],
        styles: Sequence[Sequence[Style]],
        *,
        tile: int | None = None,
        on_part: OnPart = lambda done, total: None,
    ) -> list[np.ndarray]:
        """Return the painted pixels of paintings, each with styles of its own, for their `finish`.

        Args:
            paintings: one, or several of one size, which run through the networks as one batch.
            styles: those of each painting.
            tile, on_part: as for `stylize`; a batch is never painted in tiles, and tells nothing.

        Returns:
            H x W x 3 of each painting's `pixels()`; uint8, or uint16 where its depth is 16.

        Raises:
            ParameterError: `tile` is out of range, or a style is for other weights.
            DeviceError: one painting does not fit the device's memory even in tiles.
            RuntimeError: a batch does not fit the device's memory.
        """
        if tile is not None:
            check_range("tile", tile, MIN_TILE, math.inf)
        for style in itertools.chain.from_iterable(styles):
            self.layout.check(style)
        pixels = [painting.pixels() for painting in paintings]
        transfers = [
            Transfer(painting, own, self.decoder, self.device)
            for painting, own in zip(paintings, styles, strict=True)
        ]
        if len(paintings) > 1:
            painted = self._paint_whole(pixels, transfers, lambda done, total: None)
        else:
            painted = [self._paint_one(pixels[0], transfers[0], tile, on_part)]
        self._memory.release_after(pixels[0].shape)
        return painted

    def _paint_one(
        self, pixels: np.ndarray, transfer: Transfer, tile: int | None, on_part: OnPart
    ) -> np.ndarray:
        """Paint at once, or in tiles if the memory does not suffice."""
        if tile is not None:
            sides = [tile]
        elif pixels.shape[0] * pixels.shape[1] <= MAX_UNTILED_PIXELS:
            sides = [max(pixels.shape), TILE, TILE // 2]
        else:
            sides = [TILE, TILE // 2]
        for side in sides[:-1]:
            try:
                return self._paint_in(side, pixels, transfer, on_part)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
        with within_memory(self.device):
            return self._paint_in(sides[-1], pixels, transfer, on_part)

    def _paint_in(
        self, side: int, pixels: np.ndarray, transfer: Transfer, on_part: OnPart
    ) -> np.ndarray:
        """Paint in tiles of `side` pixels, or a picture that is no larger at once."""
        if max(pixels.shape) <= side:
            return self._paint_whole([pixels], [transfer], on_part)[0]
        return stylize_tiles(
            pixels,
            transfer,
            tile=side,
            halo=self.decoder.halo,
            encode=self._contents.encode,
            on_part=on_part,
        )

    def _paint_whole(
        self, pixels: Sequence[np.ndarray], transfers: Sequence[Transfer], on_part: OnPart
    ) -> list[np.ndarray]:
        """Encode contents as one batch, and paint them one by one: each by weights of its own."""
        painted = []
        contents = self._contents.encode_each(pixels)
        for (image, taps), transfer in zip(contents, transfers, strict=True):
            own, total = [], len(transfer.measured) + 1
            for done, region in enumerate(transfer.measured, 1):
                own.append(measure(image, taps, region))
                on_part(done, total)
            result = transfer.paint(image, taps, transfer.conditions(own))
            painted.append(to_pixels(result, transfer.depth))
            on_part(total, total)
        return painted

    def _prepare(self, network: Network) -> Network:
        # Channels last is the layout that convolutions are fastest in, on the CPU and on CUDA.
        network.to(self.device).to(memory_format=torch.channels_last)
        # A Decoder's weights stay float32: they are rounded after a style is folded into them.
        if not isinstance(network, Decoder):
            network.to(self.dtype)
        return network.eval().requires_grad_(False)
