"""The starter styles: the files are what the painters paint."""

import pytest

from app.starter import PAINTINGS, starters
from app.starter.__main__ import paint
from model.images import read_image
from model.style import Style
from tests.pictures import difference


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(PAINTINGS)), ids=lambda i: PAINTINGS[i].file)
def test_the_file_is_what_is_painted(index):
    painted = paint(PAINTINGS[index])
    assert painted.size == (768, 768)
    # What WebP loses of a picture made of dots is more than of one of panes.
    assert difference(read_image(starters()[index].file), painted) < 14


def test_what_is_practised_is_for_the_bundled_weights(stylizer):
    """New weights ask for `make starters`: others fall back on the pictures, without a word."""
    for each in starters():
        if each.practised is not None:
            stylizer.layout.check(Style.from_bytes(each.practised))
            assert len(each.practised) < 1_000_000


def test_names_and_files_are_one_each():
    assert len({each.name for each in PAINTINGS}) == len({each.file for each in PAINTINGS})
