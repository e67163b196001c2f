import threading

import torch

from model.networks.pauses import pause, pausing
from tests.pictures import difference, photo


def layers_of(work):
    """How often `work` pauses."""
    pauses = []
    with pausing(lambda: pauses.append(None)):
        work()
    return len(pauses)


def test_networks_pause_after_each_layer(stylizer, style):
    layers = len(list(stylizer.encoder.children()))
    assert layers_of(lambda: stylizer.encoder(torch.zeros(1, 3, 32, 32))) == layers
    both = layers_of(lambda: stylizer.stylize(photo(), style))
    assert both - layers >= len(stylizer.decoder.convolutions.layers()) - 4, "but for 1x1 and color"


def test_another_picture_may_be_painted_in_a_pause(stylizer, style, other_style):
    alone, painted = stylizer.stylize(photo(), style), []

    def paint_another():
        with pausing(lambda: painted.append(None)):
            stylizer.stylize(photo(32, 32), other_style)

    with pausing(paint_another):
        among_others = stylizer.stylize(photo(), style)
    assert difference(alone, among_others) == 0
    assert painted


def test_a_pause_is_over_with_its_block_and_is_of_its_thread():
    outer, inner = [], []
    with pausing(lambda: outer.append(None)):
        with pausing(lambda: inner.append(None)):
            pause()
        pause()
        other = threading.Thread(target=pause)
        other.start()
        other.join()
    pause()
    assert (len(outer), len(inner)) == (1, 1)
