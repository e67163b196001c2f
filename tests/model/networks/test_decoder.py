"""The decoder: its two ways to compute the same, and what each of its inputs does."""

from dataclasses import replace

import pytest
import torch

from model.adain import Affine
from model.conditioning import condition
from model.networks.convolutions import Layer, run
from model.networks.decoder import Decoder, describe
from model.networks.encoder import convolution
from model.style import SHAPES, Style, measure
from model.weights import dead_leaves, load_decoder, save_weights
from tests.pictures import as_tensor, noise, painting, photo


@pytest.fixture
def told(stylizer, style):
    """A content, its features, and what the decoder is told of it."""
    image = as_tensor(photo(64, 48))
    taps = stylizer.encoder(image)
    return image, taps, condition(style, measure(image, taps))


@torch.inference_mode()
@pytest.mark.parametrize("detail", [-1.0, 0.0, 0.6])
def test_folded_weights_give_the_same_as_each_step_by_itself(stylizer, told, detail):
    image, taps, one = told
    folded = stylizer.decoder(image, taps, [one], detail=detail)
    twice = [torch.cat([x, x]) for x in taps]
    plain = stylizer.decoder(torch.cat([image, image]), twice, [one], detail=detail)
    torch.testing.assert_close(folded, plain[:1], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_regions_of_one_style_equal_no_regions(stylizer, told):
    image, taps, one = told
    left = torch.zeros(1, 1, *image.shape[2:])
    left[..., :30] = 1
    parted = stylizer.decoder(image, taps, [one, one], [left, 1 - left])
    whole = stylizer.decoder(image, taps, [one])
    torch.testing.assert_close(parted, whole, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_detail_moves_the_weights_linearly(stylizer):
    layers = [stylizer.decoder.layers_at(d, {})["conv2_2"] for d in (-1.0, 0.0, 1.0)]
    torch.testing.assert_close(layers[0].weight + layers[2].weight, 2 * layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)


def test_an_untrained_decoder_paints_the_content_in_the_styles_colours(told):
    image, taps, one = told
    decoder = Decoder()
    for name in ("weight", "bias"):
        decoder.convolutions.color.get_parameter(name).data.zero_()
    modulation = torch.zeros(1, decoder.modulation.out.out_features)
    painted = decoder(image, taps, [replace(one, modulation=modulation)])
    torch.testing.assert_close(painted, one.base(image))


def test_gradients_reach_every_parameter(told, style):
    image, taps, one = told
    decoder = Decoder()
    modulated = replace(one, modulation=decoder.modulate(style))
    decoder(torch.cat([image] * 2), [torch.cat([x] * 2) for x in taps], [modulated], detail=0.5)[
        :1
    ].square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_what_the_modulation_sees_is_finite_for_every_style():
    flat = Style.of_tensors({name: torch.zeros(shape) for name, shape in SHAPES.items()}, "")
    assert describe(flat).shape == (1, 1932)
    assert describe(flat).isfinite().all()


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_layer_takes_in_what_comes_before_and_after_it(kernel):
    torch.manual_seed(0)
    module = convolution(5, 4) if kernel == 3 else torch.nn.Conv2d(5, 4, 1)
    layer, x = Layer(module.weight, module.bias), torch.randn(1, 5, 7, 6)
    before = Affine(torch.rand(1, 5, 1, 1) + 0.5, torch.randn(1, 5, 1, 1))
    after = Affine(torch.rand(1, 4, 1, 1) + 0.5, torch.randn(1, 4, 1, 1))
    expected = after(module(before(x)))
    found = layer.after(before, torch.float32).before(after)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_mean_of_a_nearly_constant_channel_cancels_in_half_precision():
    """AdaIN scales it up three hundredfold; what the rounded weight makes of its mean must go."""
    torch.manual_seed(0)
    module, value = torch.nn.Conv2d(64, 8, 1), 7.3125
    scale = torch.full((1, 64, 1, 1), 300.0)
    affine = Affine(scale, 1.0 - scale * value)
    x = torch.full((1, 64, 4, 4), value)
    expected = module(torch.ones(1, 64, 4, 4))
    layer = Layer(module.weight, module.bias).after(affine, torch.bfloat16)
    found = torch.nn.functional.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_a_decoder_of_other_widths_is_laid_out_as_its_file_says(tmp_path):
    path = tmp_path / "decoder.safetensors"
    save_weights(Decoder([96, 80, 48, 24]), path)
    loaded = load_decoder(path)
    assert isinstance(loaded, Decoder)
    assert loaded.convolutions.conv1_1.out_channels == 24


@pytest.mark.slow
@torch.inference_mode()
def test_no_layer_of_the_bundled_weights_has_dead_channels(stylizer):
    """Most ReLU channels of an earlier decoder never fired, and nothing told of it."""
    shares = {}
    contents = [dead_leaves(128), as_tensor(noise(96, 96))]
    contents += [as_tensor(photo(96, 96, seed)) for seed in range(10)]
    pictures = [photo(seed=3), noise(64, 64), *(painting(seed=seed) for seed in range(10))]
    styles = [stylizer.encode_style(picture, style_size=64) for picture in pictures]

    def spy(name, x):
        shares.setdefault(name, []).append((x > 0).any(3).any(2).any(0))
        return x

    for image, style in zip(contents, styles, strict=True):
        taps = stylizer.encoder(image)
        one = condition(style, measure(image, taps))
        decoder = stylizer.decoder
        layers = decoder.layers_at(0.0, {})
        inputs = [a(t) for a, t in zip(decoder.inputs(one), taps, strict=True)]
        maps = decoder.modulation.split(one.modulation)
        run(layers, inputs, lambda name, x, maps=maps: spy(name, maps[name](x)))
    for name, found in shares.items():
        alive = torch.stack(found).any(0).float().mean()
        assert alive > 0.95, name
