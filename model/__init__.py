"""Arbitrary style transfer with adaptive instance normalization: the method and nothing else."""

from model.errors import AdainError
from model.images import encode_image, read_image
from model.style import Style
from model.stylizer import Stylizer

__all__ = ["AdainError", "Style", "Stylizer", "encode_image", "read_image"]
