import math

import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model import Stylizer, adain, color
from model import stylizer as module
from model.runtime import choose_device, choose_precision, explain_precision
from model.self_check import paint_alike
from tests.pictures import painting, photo


@pytest.mark.parametrize(
    ("device", "capabilities", "expected"),
    [
        ("cpu", {"avx512_bf16": True}, torch.bfloat16),
        ("cpu", {"amx_bf16": True}, torch.bfloat16),
        ("cpu", {"avx512_bf16": False, "avx2": True}, torch.float32),
        ("cpu", {}, torch.float32),
        ("cuda", {}, torch.float16),
        ("mps", {}, torch.float16),
        ("xpu", {}, torch.float16),
        ("meta", {"avx512_bf16": True}, torch.float32),
    ],
)
def test_auto_takes_the_fastest_precision_that_is_native(
    monkeypatch, device, capabilities, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", torch.device(device)) == expected


def test_a_named_precision_is_taken_as_it_is():
    assert choose_precision("float32", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("present", [("cuda", "mps"), ("mps", "xpu"), ("xpu",), ()])
def test_auto_takes_the_first_gpu_that_is_present_else_the_cpu(monkeypatch, present):
    # Faked where PyTorch answers: no GPU is needed for the tests.
    for backend, name in (
        (torch.cuda, "cuda"),
        (torch.backends.mps, "mps"),
        (torch.xpu, "xpu"),
    ):
        monkeypatch.setattr(backend, "is_available", lambda name=name: name in present)
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: None)
    assert choose_device("auto").type == (*present, "cpu")[0]


@pytest.mark.slow
def test_float64_is_computed_on_the_cpu_where_the_device_has_none(monkeypatch, stylizer):
    """The processor plays a GPU without float64: only what `precise` is asked for may have it."""

    class NoFloat64(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            made = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
            assert all(each.dtype != torch.float64 for each in made), function
            return result

    for user in (color, adain):
        monkeypatch.setattr(user, "precise", lambda tensor: tensor.float())
    content, mask = photo(160, 96), Image.linear_gradient("L").resize((160, 96))
    with NoFloat64():
        style = stylizer.encode_style(painting(), style_size=64)
        for options in ({}, {"alpha": 0.5}, {"masks": [mask]}, {"tile": 64}):
            stylizer.stylize(content, style, **options)


@pytest.mark.slow
def test_float16_gives_way_to_float32_where_it_paints_another_picture(monkeypatch, stylizer):
    cpu, checked = torch.device("cpu"), []
    monkeypatch.setattr(module, "OTHER_GPUS", ("cpu",))
    monkeypatch.setattr(module, "choose_precision", lambda name, device: torch.bfloat16)
    assert Stylizer.load(device="cpu").dtype == torch.bfloat16
    monkeypatch.setattr(module, "paint_alike", lambda *both: checked.append(both))
    assert Stylizer.load(device="cpu").dtype == torch.float32
    [(tried, exact)] = checked
    assert (tried.dtype, exact.dtype, exact.device) == (torch.bfloat16, torch.float32, cpu)


@pytest.mark.slow
def test_a_network_that_is_out_of_order_is_found():
    broken, exact = Stylizer.load(precision="float32"), Stylizer.load(precision="float32")
    assert paint_alike(broken, exact)
    next(broken.encoder.parameters()).fill_(math.nan)
    assert not paint_alike(broken, exact)


def test_a_precision_is_explained_by_the_processor():
    cpu = torch.device("cpu")
    has = torch.cpu.get_capabilities()
    native = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    explained = explain_precision(choose_precision("auto", cpu), cpu)
    assert explained.startswith("bfloat16" if native else "float32")
    assert ("has no bfloat16" in explained) != native
