"""Encoder and decoder against torchvision's VGG-19 and against plain formulas."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from model.adain import EPSILON
from model.conditioning import condition
from model.networks.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder, convolution
from model.networks.plain_decoder import PlainDecoder
from model.networks.upsampling import upsample_convolution
from model.style import measure
from tests.pictures import as_tensor, painting, photo


def plain(convolution, x):
    """A 3x3 convolution with reflection padding, from the formula."""
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), convolution.weight, convolution.bias)


def reference(encoder, decoder, content, style):
    """The whole method, one operation a line, as the paper describes it."""

    def encode(image):
        mean = torch.tensor(IMAGENET_MEAN)[None, :, None, None]
        std = torch.tensor(IMAGENET_STD)[None, :, None, None]
        x = (image - mean) / std
        for name in ["11", "12", "p", "21", "22", "p", "31", "32", "33", "34", "p", "41"]:
            if name == "p":
                x = F.max_pool2d(x, 2)
            else:
                x = plain(getattr(encoder, f"conv{name[0]}_{name[1]}"), x).relu()
        return x

    def statistics(x):
        return x.mean((2, 3), keepdim=True), (
            x.var((2, 3), keepdim=True, correction=0) + EPSILON
        ).sqrt()

    c, s = encode(content), encode(style)
    (c_mean, c_std), (s_mean, s_std) = statistics(c), statistics(s)
    x = s_std * (c - c_mean) / c_std + s_mean
    for name in ["41", "u", "34", "33", "32", "31", "u", "22", "21", "u", "12"]:
        if name == "u":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        else:
            x = plain(getattr(decoder, f"conv{name[0]}_{name[1]}"), x).relu()
    return plain(decoder.conv1_1, x)


def test_encoder_is_torchvisions_vgg19_up_to_relu4_1():
    torch.manual_seed(0)
    vgg = make_layers(cfgs["E"])[:21]
    encoder = Encoder()
    ours, theirs = list(encoder.children()), [m for m in vgg if isinstance(m, torch.nn.Conv2d)]
    assert [m.weight.shape for m in ours] == [m.weight.shape for m in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        mine.load_state_dict(other.state_dict())
    image = torch.rand(1, 3, 160, 160)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected, found = vgg((image - mean) / std), encoder(image)[-1]
    assert found.shape == (1, 512, 20, 20)
    # relu4_1 sees 68 pixels: zero and reflection padding differ up to 5 positions inwards.
    inside = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-5)


def test_taps_have_the_shapes_of_their_layers(stylizer):
    taps = stylizer.encoder(torch.rand(2, 3, 32, 48))
    assert [tuple(tap.shape) for tap in taps] == [
        (2, 64, 32, 48),
        (2, 128, 16, 24),
        (2, 256, 8, 12),
        (2, 512, 4, 6),
    ]


def test_reflection_leaves_no_frame_around_a_plain_picture(stylizer):
    for features in stylizer.encoder(torch.full((1, 3, 64, 64), 0.5)):
        torch.testing.assert_close(features, features[..., :1, :1].expand_as(features))


def test_the_plain_decoder_mirrors_the_encoder():
    encoder = [(m.in_channels, m.out_channels) for m in Encoder().children()]
    decoder = [(m.out_channels, m.in_channels) for m in PlainDecoder().children()]
    assert decoder == encoder[::-1]
    assert [n for n, _ in PlainDecoder().named_children()] == [
        n for n, _ in Encoder().named_children()
    ][::-1]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (16, 16)])
def test_folded_upsampling_equals_upsampling_then_convolution(size):
    torch.manual_seed(0)
    layer = convolution(6, 4)
    x = torch.randn(2, 6, *size)
    expected = layer(F.interpolate(x, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(
        upsample_convolution(x, layer.weight, layer.bias), expected, rtol=1e-5, atol=1e-5
    )


def test_gradients_flow_through_the_folded_upsampling():
    torch.manual_seed(0)
    layer, x = convolution(3, 2), torch.randn(1, 3, 4, 4)
    (folded,) = torch.autograd.grad(
        upsample_convolution(x, layer.weight, layer.bias).square().sum(), layer.weight
    )
    plainly = layer(F.interpolate(x, scale_factor=2, mode="nearest"))
    (expected,) = torch.autograd.grad(plainly.square().sum(), layer.weight)
    torch.testing.assert_close(folded, expected)


@torch.inference_mode()
def test_fast_path_equals_the_plain_reference_in_float32(stylizer):
    torch.manual_seed(0)
    decoder = PlainDecoder()
    image, style = as_tensor(photo(160, 96)), as_tensor(painting(128))
    taps = stylizer.encoder(image)
    told = condition(measure(style, stylizer.encoder(style)), measure(image, taps))
    expected = reference(stylizer.encoder, decoder, image, style)
    assert (decoder(image, taps, [told]) - expected).abs().max() < 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["bundled", "plain"])
def test_result_does_not_depend_on_the_batch(stylizer, style, kind):
    decoder = stylizer.decoder if kind == "bundled" else PlainDecoder()
    contents = torch.cat([as_tensor(photo(64, 64, seed)) for seed in range(3)])

    def paint(images):
        taps = stylizer.encoder(images)
        return decoder(images, taps, [condition(style, measure(images, taps))])

    assert (paint(contents)[1:2] - paint(contents[1:2])).abs().max() < 1e-3
