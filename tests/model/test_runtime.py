import pytest
import torch

from model.runtime import choose_device, choose_precision, explain_precision


@pytest.mark.parametrize(
    ("device", "capabilities", "expected"),
    [
        ("cpu", {"avx512_bf16": True}, torch.bfloat16),
        ("cpu", {"amx_bf16": True}, torch.bfloat16),
        ("cpu", {"avx512_bf16": False, "avx2": True}, torch.float32),
        ("cpu", {}, torch.float32),
        ("cuda", {}, torch.float16),
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


def test_auto_takes_cuda_where_present_else_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def test_a_precision_is_explained_by_the_processor():
    cpu = torch.device("cpu")
    has = torch.cpu.get_capabilities()
    native = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    explained = explain_precision(choose_precision("auto", cpu), cpu)
    assert explained.startswith("bfloat16" if native else "float32")
    assert ("has no bfloat16" in explained) != native
