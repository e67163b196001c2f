"""The image transformation network, with random weights where its own do not matter."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from model.controls import Controls
from model.errors import ParameterError, WeightsError
from model.networks.style_network import ConditionalNorm, StyleNetwork
from model.painting import Painting
from model.weights import load_style_network, save_style_network
from tests.pictures import as_tensor, difference, photo

NAMES = ("ink", "oil", "glass")


@pytest.fixture(scope="module")
def network():
    """Three styles that differ."""
    torch.manual_seed(0)
    network = StyleNetwork(NAMES).eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.shape[0] == len(NAMES):
            parameter += 0.3 * torch.randn(parameter.shape)
    return network


def shares(*values):
    return torch.tensor([values])


def paint(network, content, **controls):
    plan = Painting.plan(content, len(network.names), Controls(**controls))
    return plan.finish(network.paint(plan))


def test_a_conditional_norm_is_instance_normalization_with_the_styles_scale_and_shift():
    norm = ConditionalNorm(2, 3)
    norm.scale.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    norm.shift.data = torch.tensor([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = F.instance_norm(x)
    second = plain * torch.tensor([4.0, 5.0, 6.0])[:, None, None]
    second[:, 0] += 2
    torch.testing.assert_close(norm(x, shares(0.0, 1.0)), second)
    half = norm(x, shares(0.5, 0.5))
    torch.testing.assert_close(half, (norm(x, shares(1.0, 0.0)) + second) / 2)


def test_each_picture_of_a_batch_has_its_own_style(network):
    image = as_tensor(photo())
    both = network(torch.cat([image, image]), torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]))
    for result, share in zip(both, ([1.0, 0, 0], [0, 0, 1.0]), strict=True):
        torch.testing.assert_close(result[None], network(image, shares(*share)))
    assert (both[0] - both[1]).abs().mean() > 0.01


@pytest.mark.parametrize("size", [(96, 64), (1, 1), (17, 40), (101, 35)])
def test_the_result_has_the_contents_size(network, size):
    assert paint(network, photo(*size)).size == size


def test_some_styles_alone_give_what_they_give_among_all(network):
    image = as_tensor(photo())
    chosen = network.select(["glass", "ink"])
    assert chosen.names == ("glass", "ink")
    torch.testing.assert_close(chosen(image, shares(0.3, 0.7)), network(image, shares(0.7, 0, 0.3)))


def test_an_unknown_style_is_refused_with_those_there_are(network):
    with pytest.raises(ParameterError, match="no style 'silk'; choose from ink, oil, glass"):
        network.select(["ink", "silk"])


def test_weights_mix_styles(network):
    two = network.select(["ink", "oil"])
    ends = [paint(two, photo(), weights=[share, 1 - share]) for share in (1 - 1e-9, 1e-9)]
    middle = paint(two, photo())
    apart = difference(*ends)
    assert all(difference(middle, end) < apart for end in ends)


def test_masks_give_each_style_its_part(network):
    two = network.select(["ink", "oil"])
    left = Image.new("L", (96, 64))
    left.paste(255, (0, 0, 48, 64))
    right = Image.eval(left, lambda level: 255 - level)
    parted = paint(two, photo(), masks=[left, right])
    for name, box in (("ink", (0, 0, 48, 64)), ("oil", (48, 0, 96, 64))):
        alone = paint(network.select([name]), photo())
        assert difference(parted.crop(box), alone.crop(box)) < 0.01
    nothing = Image.new("L", (96, 64))
    assert difference(paint(two, photo(), masks=[nothing, nothing]), photo()) == 0


def test_alpha_fades_over_the_content(network):
    one = network.select(["oil"])
    assert difference(paint(one, photo(), alpha=0.0), photo()) == 0
    half = paint(one, photo(), alpha=0.5)
    expected = Image.blend(photo(), paint(one, photo()), 0.5)
    assert difference(half, expected) < 1


def test_a_file_keeps_the_names(network, tmp_path):
    path = tmp_path / "style_network.safetensors"
    save_style_network(network, path)
    loaded = load_style_network(path)
    assert loaded.names == NAMES
    close = [
        torch.allclose(a, b, atol=1e-3)
        for a, b in zip(loaded.parameters(), network.parameters(), strict=True)
    ]
    assert all(close)


def test_dozens_of_styles_stay_small(tmp_path):
    path = tmp_path / "style_network.safetensors"
    save_style_network(StyleNetwork([str(n) for n in range(32)]), path)
    assert path.stat().st_size < 4_000_000


@pytest.mark.parametrize("note", [None, "", "[]", "{}", '{"styles": 3}'])
def test_a_file_without_names_is_refused(network, tmp_path, note):
    path = tmp_path / "style_network.safetensors"
    save_style_network(network, path)
    save_file(load_file(path), path, metadata=None if note is None else {"note": note})
    with pytest.raises(WeightsError, match="does not name its styles"):
        load_style_network(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_style_network(tmp_path / "nothing.safetensors")
    path = tmp_path / "style_network.safetensors"
    save_file({"x": torch.ones(1)}, path, metadata={"note": '{"styles": ["a"]}'})
    with pytest.raises(WeightsError, match="does not fit the style network"):
        load_style_network(path)


def test_pixels_are_bytes(network):
    painted = network.paint(Painting.plan(photo(), 3))
    assert painted.dtype == np.uint8
    assert painted.shape == (64, 96, 3)
