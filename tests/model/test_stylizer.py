import itertools
import subprocess
import sys
from statistics import mean

import numpy as np
import pytest
import torch
from PIL import Image

from app.starter import starters
from model import Stylizer, read_image
from model.adain import channel_statistics
from model.color import color_moments
from model.controls import MAX_STYLE_ASPECT, fit_style, normalize_weights
from model.errors import DeviceError, ParameterError
from model.images import flatten
from model.networks.plain_decoder import PlainDecoder
from model.pixels import to_pixels, to_tensor
from model.weights import dead_leaves, load_encoder
from tests.pictures import as_tensor, difference, noise, painting, photo
from training.losses import correlation_loss


def half_mask(width, height, side="left"):
    mask = Image.new("L", (width, height), 0)
    start = 0 if side == "left" else width // 2
    mask.paste(255, (start, 0, start + width // 2, height))
    return mask


@pytest.fixture(scope="module")
def plain(stylizer):
    """The same encoder with the paper's decoder, of random weights that give some contrast."""
    torch.manual_seed(0)
    decoder = PlainDecoder()
    for layer in decoder.children():
        torch.nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        decoder.conv1_1.weight *= 0.2
        decoder.conv1_1.bias += 0.5
    return Stylizer(load_encoder(), decoder, content_cache_bytes=0)


@pytest.mark.parametrize("tile", [None, 64])
def test_alpha_0_is_the_content(stylizer, style, tile):
    for content in (photo(96, 64), noise(70, 90), Image.new("RGB", (40, 30), (200, 100, 7))):
        assert difference(stylizer.stylize(content, style, alpha=0, tile=tile), content) == 0


def test_with_the_plain_decoder_alpha_0_is_its_reconstruction(plain):
    content = photo(64, 64)
    with torch.inference_mode():
        decoded = plain.decoder.decode(plain.encoder(to_tensor(np.asarray(content)))[-1])
    style = plain.encode_style(painting(), style_size=64)
    result = plain.stylize(content, style, alpha=0)
    assert difference(result, Image.fromarray(to_pixels(decoded))) < 0.01


def test_the_plain_decoder_takes_every_control(plain):
    content = photo(96, 64)
    content.putalpha(Image.linear_gradient("L").resize(content.size))
    styles = [plain.encode_style(painting(seed=seed), style_size=64) for seed in (1, 7)]
    controls = {
        "weights": [3, 1],
        "alpha": 0.7,
        "detail": 0.5,
        "masks": [half_mask(96, 64), half_mask(96, 64, "right")],
        "preserve_color": True,
    }
    whole = plain.stylize(content, styles, **controls)
    assert (whole.mode, whole.size) == ("RGBA", (96, 64))
    assert difference(plain.stylize(content, styles, tile=64, **controls), whole) < 0.1


@pytest.mark.slow
def test_a_style_that_is_the_content_changes_it_least(stylizer):
    content = photo(256, 192)
    own = stylizer.encode_style(content, style_size=192)
    other = stylizer.encode_style(painting(), style_size=192)
    back = difference(stylizer.stylize(content, own), content)
    assert back < 20
    assert back < difference(stylizer.stylize(content, other), content) / 2


def test_a_grey_style_gives_a_grey_picture(stylizer):
    grey = painting(128).convert("L").convert("RGB")
    for content in (photo(128, 96), noise(64, 64)):
        result = stylizer.stylize(content, stylizer.encode_style(grey, style_size=128))
        pixels = np.asarray(result, int)
        assert (pixels.max(2) - pixels.min(2)).max() <= 2


@pytest.mark.parametrize(
    "content",
    [
        Image.new("RGB", (64, 48), (200, 100, 7)),
        Image.new("RGB", (64, 48), "black"),
        Image.new("RGB", (1, 1), (9, 99, 199)),
        Image.new("RGBA", (40, 30), (1, 2, 3, 0)),
    ],
    ids=["one colour", "black", "1x1", "transparent"],
)
def test_contents_with_nothing_in_them_give_a_picture_of_few_tones(stylizer, style, content):
    result = np.asarray(stylizer.stylize(content, style).convert("RGB"), float)
    assert result.shape == (content.height, content.width, 3)
    assert result.std(axis=(0, 1)).max() < 80


def test_a_style_of_one_colour_gives_a_picture_of_about_that_colour(stylizer):
    red = stylizer.encode_style(Image.new("RGB", (64, 64), (200, 20, 20)), style_size=64)
    result = np.asarray(stylizer.stylize(photo(96, 64), red), float)
    assert np.abs(result.mean(axis=(0, 1)) - [200, 20, 20]).max() < 12


@pytest.mark.slow
def test_detail_keeps_more_of_the_content(stylizer):
    """By the loss that it is trained with, 1 less the correlation of relu4_1, in starter styles."""
    contents = [Image.fromarray(to_pixels(dead_leaves(192))), photo(192, 160)]
    styles = [flatten(read_image(starter.file)) for starter in starters()[:3]]
    losses = []
    for detail in (-1, 0, 1):
        changes = []
        for content, style in itertools.product(contents, styles):
            result = stylizer.stylize(
                content, stylizer.encode_style(style, style_size=192), detail=detail
            )
            one, other = (stylizer.encoder(as_tensor(image))[-1] for image in (result, content))
            own = channel_statistics(other)
            changes.append(correlation_loss(one, (other - own.mean) / own.std).item())
        losses.append(mean(changes))
    assert losses[0] > losses[1] > losses[2]


def test_a_style_for_other_weights_is_refused(stylizer, plain):
    style = plain.encode_style(painting(), style_size=64)
    with pytest.raises(ParameterError, match="for other weights than the loaded ones"):
        stylizer.stylize(photo(), style)


def test_a_content_that_was_just_painted_is_not_encoded_again(style, other_style):
    stylizer = Stylizer.load(device="cpu", precision="float32")
    encoded = []
    stylizer.encoder.register_forward_hook(lambda *_: encoded.append(1))
    content = photo()
    first = stylizer.stylize(content, style)
    second = stylizer.stylize(content, other_style, alpha=0.5)
    assert len(encoded) == 1
    assert difference(first, second) > 1
    assert difference(stylizer.stylize(content.copy(), style), first) == 0
    stylizer.stylize(photo(seed=3), style)
    assert len(encoded) == 2


def test_alpha_moves_from_the_content_to_the_style(stylizer, style):
    content = photo()
    none, half, full = (stylizer.stylize(content, style, alpha=a) for a in (0, 0.5, 1))
    assert difference(none, full) > 10
    assert difference(none, half) < difference(none, full)
    assert difference(half, full) < difference(none, full)


def test_the_style_decides_the_result(stylizer, style, other_style):
    content = photo()
    assert difference(*(stylizer.stylize(content, s) for s in (style, other_style))) > 10


def test_a_mix_with_all_weight_on_one_style_is_that_style(stylizer, style, other_style):
    content = photo()
    mixed = stylizer.stylize(content, [style, other_style], weights=[1, 1e-9])
    assert difference(mixed, stylizer.stylize(content, style)) < 0.01


def test_a_mix_lies_between_its_styles(stylizer, style, other_style):
    content = photo()
    a, b = stylizer.stylize(content, style), stylizer.stylize(content, other_style)
    mixed = stylizer.stylize(content, [style, other_style])
    assert difference(mixed, a) < difference(a, b)
    assert difference(mixed, b) < difference(a, b)


def test_weights_count_by_their_proportion(stylizer, style, other_style):
    content, styles = photo(), [style, other_style]
    three_to_one = stylizer.stylize(content, styles, weights=[3, 1])
    assert difference(three_to_one, stylizer.stylize(content, styles, weights=[0.75, 0.25])) == 0


def test_a_white_mask_equals_no_mask(stylizer, style):
    content = photo()
    masked = stylizer.stylize(content, style, masks=[Image.new("L", content.size, 255)])
    assert difference(masked, stylizer.stylize(content, style)) < 0.01


def test_a_black_mask_leaves_the_content_untouched(stylizer, style):
    content = photo()
    masked = stylizer.stylize(content, style, masks=[Image.new("L", content.size, 0)])
    assert difference(masked, content) == 0


def test_what_no_mask_covers_stays_to_the_pixel(stylizer, style):
    content = photo(96, 64)
    result = stylizer.stylize(content, style, masks=[half_mask(96, 64)])
    left, right = (0, 0, 48, 64), (48, 0, 96, 64)
    assert difference(result.crop(right), content.crop(right)) == 0
    assert difference(result.crop(left), content.crop(left)) > 10


@pytest.mark.slow
def test_each_mask_gives_its_style_the_statistics_of_its_own_region(stylizer, style, other_style):
    # Far from the seam, each half looks as if it had been stylized by itself.
    content = photo(320, 96)
    masks = [half_mask(320, 96, side) for side in ("left", "right")]
    result = stylizer.stylize(content, [style, other_style], masks=masks)
    for own, other, box in (
        (style, other_style, (0, 0, 160, 96)),
        (other_style, style, (160, 0, 320, 96)),
    ):
        far = (0, 0, 60, 96) if box[0] == 0 else (100, 0, 160, 96)
        part = result.crop(box).crop(far)
        alone = stylizer.stylize(content.crop(box), own).crop(far)
        wrong = stylizer.stylize(content.crop(box), other).crop(far)
        assert difference(part, alone) < 4
        assert difference(part, alone) < difference(part, wrong) / 4


def test_masks_may_overlap(stylizer, style, other_style):
    content, white = photo(), Image.new("L", (96, 64), 255)
    a, b = (stylizer.stylize(content, each) for each in (style, other_style))
    result = stylizer.stylize(content, [style, other_style], masks=[white, white])
    # Nearly: the base is a mix of two pictures there, and not the picture of mixed colours.
    mixed = stylizer.stylize(content, [style, other_style])
    assert difference(result, mixed) < difference(a, b) / 5


def test_a_mask_of_another_size_is_scaled(stylizer, style):
    content = photo(256, 64)
    small = stylizer.stylize(content, style, masks=[half_mask(128, 32)])
    full = stylizer.stylize(content, style, masks=[half_mask(256, 64)])
    for clear_of_the_edge in ((0, 0, 80, 64), (136, 0, 256, 64)):
        assert difference(small.crop(clear_of_the_edge), full.crop(clear_of_the_edge)) < 2


def test_a_mask_painted_on_transparency_counts_where_it_is_painted(stylizer, style):
    content = photo(96, 64)
    painted = Image.new("RGBA", content.size, (255, 255, 255, 0))
    painted.paste((255, 255, 255, 255), (0, 0, 48, 64))
    result = stylizer.stylize(content, style, masks=[painted])
    assert difference(result, stylizer.stylize(content, style, masks=[half_mask(96, 64)])) == 0


def colors(image):
    """Mean and covariance of an image's colours."""
    moments = color_moments(to_tensor(np.asarray(image)))
    return moments.mean, moments.covariance


@pytest.mark.parametrize("kind", ["bundled", "plain"])
@pytest.mark.parametrize("cut_out", [False, True])
def test_preserve_color_keeps_mean_and_covariance_of_the_contents_colours(
    stylizer, plain, kind, cut_out
):
    stylizer = plain if kind == "plain" else stylizer
    style = stylizer.encode_style(painting(), style_size=64)
    # Without blacks and whites: what leaves the range is clipped.
    content = Image.eval(photo(192, 128), lambda level: 64 + level // 2)
    if cut_out:
        content.putalpha(half_mask(192, 128))
    seen = (0, 0, 96, 128) if cut_out else (0, 0, 192, 128)
    changed, kept = (
        colors(stylizer.stylize(content, style, preserve_color=keep).convert("RGB").crop(seen))
        for keep in (False, True)
    )
    wanted = colors(content.convert("RGB").crop(seen))
    for found, other, own in zip(kept, changed, wanted, strict=True):
        assert (found - own).norm() < (other - own).norm() / 4


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 300), (300, 1), (7, 9), (15, 17), (64, 64), (33, 130)]
)
def test_output_has_the_contents_size_to_the_pixel(stylizer, style, size):
    assert stylizer.stylize(photo(*size), style).size == size


def test_transparency_survives_untouched(stylizer, style):
    content = photo()
    opacity = Image.linear_gradient("L").resize(content.size)
    content.putalpha(opacity)
    result = stylizer.stylize(content, style)
    assert result.mode == "RGBA"
    assert difference(result.getchannel("A"), opacity) == 0


def test_an_opaque_alpha_channel_changes_nothing(stylizer, style):
    content = photo()
    with_alpha = stylizer.stylize(content.convert("RGBA"), style)
    assert difference(with_alpha.convert("RGB"), stylizer.stylize(content, style)) < 0.01


@pytest.mark.parametrize("masks", [None, [Image.new("L", (256, 64), 255)]])
def test_colours_behind_full_transparency_have_no_say(stylizer, style, masks):
    def beyond_the_reach_of_the_edge(hidden, opacity):
        picture = photo(256, 64)
        picture.paste(hidden, (128, 0, 256, 64))
        picture.putalpha(opacity)
        result = stylizer.stylize(picture, style, masks=masks)
        return result.convert("RGB").crop((0, 0, 56, 64))

    def influence(opacity):
        return difference(
            *(beyond_the_reach_of_the_edge(hidden, opacity) for hidden in ("black", "white"))
        )

    assert influence(half_mask(256, 64)) < influence(Image.new("L", (256, 64), 255)) / 4


def test_a_wholly_transparent_picture_stays_so(stylizer, style):
    result = stylizer.stylize(Image.new("RGBA", (40, 30), (1, 2, 3, 0)), style)
    assert result.getchannel("A").getextrema() == (0, 0)


def test_orientation_of_any_pil_image_is_applied(stylizer, style):
    content = photo(96, 64)
    content.getexif()[0x0112] = 6
    assert stylizer.stylize(content, style).size == (64, 96)


@pytest.mark.parametrize(("size", "expected"), [(48, (48, 32)), (192, (192, 128))])
def test_size_is_the_longest_side_of_the_result(stylizer, style, size, expected):
    assert stylizer.stylize(photo(96, 64), style, size=size).size == expected


def test_style_size_sets_the_scale_of_the_strokes(stylizer):
    small, large = (stylizer.encode_style(painting(), style_size=s) for s in (64, 256))
    assert not torch.allclose(small.taps[-1].mean, large.taps[-1].mean, rtol=0.05)


def test_a_long_style_is_bounded(stylizer):
    long = photo(2, 4000)
    assert fit_style(long, 64).size == (1, 64 * MAX_STYLE_ASPECT)
    style = stylizer.encode_style(long, style_size=64)
    assert all(tensor.isfinite().all() for tensor in style.tensors().values())


def test_a_fitted_style_is_encoded_as_the_whole_one(stylizer):
    whole = stylizer.encode_style(photo(300, 200), style_size=64)
    fitted = stylizer.encode_style(fit_style(photo(300, 200), 64), style_size=64)
    assert whole.to_bytes() == fitted.to_bytes()


def test_a_style_is_seen_over_white_where_it_is_transparent(stylizer):
    clear, white = Image.new("RGBA", (64, 64), (255, 0, 0, 0)), Image.new("RGB", (64, 64), "white")
    a, b = (stylizer.encode_style(image, style_size=64) for image in (clear, white))
    assert a.to_bytes() == b.to_bytes()


def test_the_same_call_gives_the_same_picture(stylizer, style):
    assert difference(*(stylizer.stylize(photo(), style) for _ in range(2))) == 0


def test_a_cached_style_is_not_encoded_again(stylizer, style):
    encoded = []
    hook = stylizer.encoder.register_forward_hook(lambda *_: encoded.append(1))
    stylizer.stylize(photo(), style)
    hook.remove()
    assert len(encoded) == 1, "the content alone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.5}, "alpha must be from 0 to 1, and is 1.5"),
        ({"alpha": float("nan")}, "alpha must be from 0 to 1, and is nan"),
        ({"detail": -1.5}, "detail must be from -1 to 1, and is -1.5"),
        ({"detail": float("nan")}, "detail must be from -1 to 1, and is nan"),
        ({"size": 15}, "size must be at least 16, and is 15"),
        ({"weights": [1, 2]}, "as many weights as styles, 1, and there are 2"),
        ({"weights": [0]}, "a weight must be a number above 0, and one is 0"),
        ({"weights": [float("inf")]}, "a weight must be a number above 0, and one is inf"),
        ({"masks": []}, "as many masks as styles, 1, and there are 0"),
        ({"masks": [Image.new("L", (64, 64))]}, "must have the content's aspect ratio"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(stylizer, style, arguments, message):
    with pytest.raises(ParameterError, match=message):
        stylizer.stylize(photo(), style, **arguments)


def test_no_style_is_refused(stylizer):
    with pytest.raises(ParameterError, match="at least one style"):
        stylizer.stylize(photo(), [])


@pytest.mark.parametrize("style_size", [63, 1025])
def test_style_size_out_of_range_is_refused(stylizer, style_size):
    with pytest.raises(ParameterError, match="style_size must be from 64 to 1024"):
        stylizer.encode_style(painting(), style_size=style_size)


def test_huge_weights_still_sum_to_1():
    assert normalize_weights([1e308, 1e308], 2) == [0.5, 0.5]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_close_to_float32(stylizer, precision):
    half = Stylizer.load(device="cpu", precision=precision)
    for seed in range(3):
        content, painted = photo(128, 96, seed), painting(seed=seed)
        results = [
            each.stylize(content, each.encode_style(painted, style_size=128))
            for each in (stylizer, half)
        ]
        assert difference(*results) < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "abacus"}, "cannot use device 'abacus'"),
        ({"precision": "float8"}, "unknown precision 'float8'; choose auto, float32"),
    ],
)
def test_unknown_devices_and_precisions_are_refused(arguments, message):
    with pytest.raises(DeviceError, match=message):
        Stylizer.load(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_an_absent_device_is_refused():
    with pytest.raises(DeviceError, match="cannot use device 'cuda'"):
        Stylizer.load(device="cuda")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_sizes():
    code = """
import random
from pathlib import Path
from PIL import Image
from model import Stylizer
from tests.pictures import painting, photo

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

stylizer = Stylizer.load(device="cpu", content_cache_bytes=0)
style = stylizer.encode_style(painting(), style_size=64)
chance, most = random.Random(0), []
for part in range(3):
    most.append(0)
    for _ in range(40):
        size = chance.randint(64, 240), chance.randint(64, 240)
        stylizer.stylize(photo(*size), style)
        most[-1] = max(most[-1], resident())
assert most[-1] < 1.1 * most[0], most
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_is_transparent_in_a_style_does_not_count(stylizer):
    """A cut-out on nothing is the style of what is cut out, whatever colour hides behind."""
    style = painting(size=128)
    wide = Image.new("RGBA", (256, 128), (0, 0, 0, 0))
    wide.paste(style, (0, 0))
    green = Image.new("RGBA", (256, 128), (0, 255, 0, 0))
    green.paste(style.convert("RGBA"), (0, 0))
    plain = stylizer.stylize(photo(), stylizer.encode_style(style, style_size=128))
    cut_out = stylizer.stylize(photo(), stylizer.encode_style(wide, style_size=128))
    hidden = stylizer.stylize(photo(), stylizer.encode_style(green, style_size=128))
    white = Image.new("RGB", (256, 128), "white")
    white.paste(style, (0, 0))
    on_white = stylizer.stylize(photo(), stylizer.encode_style(white, style_size=128))
    assert difference(cut_out, hidden) == 0
    assert difference(cut_out, plain) < 0.3 * difference(on_white, plain)


def test_a_style_that_is_all_transparent_is_white(stylizer):
    nothing = stylizer.encode_style(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), style_size=64)
    white = stylizer.encode_style(Image.new("RGB", (64, 64), "white"), style_size=64)
    assert difference(stylizer.stylize(photo(), nothing), stylizer.stylize(photo(), white)) == 0
