"""Colour preservation: the style's brush strokes in the content's colours."""

from __future__ import annotations

from PIL import Image


def keep_color(stylized: Image.Image, content: Image.Image) -> Image.Image:
    """Return `stylized` with the colours of `content`, both RGB and of one size.

    Luminance-only transfer (Gatys et al. 2016, "Preserving color in neural artistic style
    transfer", section 3.2), in Y'CbCr: luma from the stylized picture, chroma from the content. The
    alternative, matching the style's colours to the content's beforehand, would need the style
    picture anew for each content, where we keep only its channel statistics.
    """
    luma = stylized.convert("YCbCr").getchannel("Y")
    _, blue, red = content.convert("YCbCr").split()
    return Image.merge("YCbCr", (luma, blue, red)).convert("RGB")
