"""Tests of `training.learners.optimizers`."""

from copy import deepcopy

import pytest
import torch

from training.learners.optimizers import Muon, orthogonal

RATE = 0.01


@pytest.fixture
def weights():
    """A convolution with more rows than columns, one with fewer, and a 1x1 one."""
    random = torch.Generator().manual_seed(0)
    shapes = [(64, 4, 3, 3), (8, 16, 3, 3), (16, 32, 1, 1)]
    return [torch.randn(shape, generator=random).requires_grad_() for shape in shapes]


def give_gradients(weights, step):
    random = torch.Generator().manual_seed(step)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=random)


def test_muon_takes_the_steps_of_pytorchs_in_bfloat16(weights):
    matrices = [torch.nn.Parameter(weight.detach().flatten(1).clone()) for weight in weights]
    muon = Muon([weights], torch.bfloat16)
    pytorchs = torch.optim.Muon(matrices, lr=RATE, weight_decay=0.0)
    for step in range(3):
        give_gradients(weights, step)
        for matrix, weight in zip(matrices, weights, strict=True):
            matrix.grad = weight.grad.flatten(1)
        muon.step([RATE])
        pytorchs.step()
    for matrix, weight in zip(matrices, weights, strict=True):
        torch.testing.assert_close(weight.flatten(1), matrix, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(64, 36), (8, 144)])
def test_an_update_keeps_singular_vectors_and_makes_singular_values_alike(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = left.T @ orthogonal(matrix) @ right.T
    assert 0.6 < values.diagonal().min() < values.diagonal().max() < 1.3
    # bfloat16 would be off by 0.01.
    torch.testing.assert_close(values, values.diagonal().diag(), rtol=0, atol=1e-4)


def test_muon_computes_in_the_precision_that_it_is_told(weights):
    """float32 on a processor that emulates bfloat16, where it takes a twentieth of the time."""
    [*_, weight] = weights
    before = weight.detach().clone()
    muon = Muon([[weight]], torch.float32)
    give_gradients([weight], 0)
    muon.step([RATE])
    step = (before - weight.detach()).flatten(1) / RATE
    torch.testing.assert_close(step, orthogonal(weight.grad.flatten(1)), rtol=0, atol=1e-4)


def test_each_group_has_its_rate_and_a_run_resumes(weights):
    first, *rest = weights
    before = [weight.detach().clone() for weight in weights]
    muon = Muon([[first], rest], torch.float32)
    give_gradients(weights, 0)
    muon.step([0.0, RATE])
    assert torch.equal(first, before[0])
    assert not any(map(torch.equal, rest, before[1:]))
    copies = [weight.detach().clone().requires_grad_() for weight in weights]
    resumed = Muon([copies[:1], copies[1:]], torch.float32)
    resumed.load_state_dict(deepcopy(muon.state_dict()))
    for optimizer, changed in ((muon, weights), (resumed, copies)):
        give_gradients(changed, 1)
        optimizer.step([RATE, RATE])
    assert all(map(torch.equal, weights, copies))
