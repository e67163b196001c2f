"""Arbitrary style transfer with adaptive instance normalization: the method and nothing else."""

from model.adain import ChannelStatistics
from model.errors import AdainError
from model.image import encode_image, read_image
from model.stylizer import Stylizer

__all__ = ["AdainError", "ChannelStatistics", "Stylizer", "encode_image", "read_image"]
