"""Memory of tensors that nobody has: what is alive, and the most at once."""

from __future__ import annotations

import torch
from torch import nn

from foundation.tensor_memory import Growth, TensorMemory, autocast_to, counting, kernels_of

KB = 1024


def test_what_is_alive_and_the_most_at_once() -> None:
    with counting() as memory:
        kept = torch.zeros(KB, dtype=torch.float32)
        with memory.peak() as peak:
            view = kept.view(2, -1)
            for _ in range(3):
                passing = torch.ones(KB) + view.flatten()
                del passing
        assert memory.alive == 4 * KB
        assert peak == [3 * 4 * KB]  # what is kept, what is added, and their sum
        del kept, view
        assert memory.alive == 0


def test_a_peak_within_another_is_both() -> None:
    with counting() as memory, memory.peak() as outer:
        with memory.peak() as inner:
            torch.zeros(KB)
        torch.zeros(10)
    assert inner == [4 * KB] and outer == [4 * KB]


def test_what_a_backward_pass_needs_is_alive_until_then() -> None:
    with counting() as memory:
        layers = nn.Sequential(*(nn.Linear(KB, KB, bias=False) for _ in range(4)))
        weights = memory.alive
        assert weights == 4 * 4 * KB * KB
        out = layers(torch.zeros(8, KB)).sum()
        assert memory.alive == weights + 4 * (4 * 8 * KB + 1)  # each layer's input, and the sum
        out.backward()
        del out
        assert memory.alive == 2 * weights  # and the gradients


def test_fake_and_real_tensors_are_counted_alike() -> None:
    def work() -> None:
        layer = nn.Conv2d(3, 8, 3, padding=1).to(torch.float64)
        layer(torch.zeros(2, 3, 16, 16, dtype=torch.float64)).square().sum().backward()

    with counting() as memory, memory.peak() as fake:
        work()
    with TensorMemory() as memory, memory.peak() as real:
        work()
    assert fake == real


def test_autocast_is_that_of_the_kind_of_device() -> None:
    norm = nn.LayerNorm(8)
    with counting():
        x = torch.zeros(2, 8)
        for device, dtype in (("cpu", torch.bfloat16), ("cuda", torch.float32)):
            with kernels_of(device), autocast_to(torch.bfloat16):
                assert (x @ torch.zeros(8, 8)).dtype == torch.bfloat16
                assert nn.functional.layer_norm(x.bfloat16(), (8,)).dtype == dtype
        with kernels_of("cuda"), autocast_to(torch.float32):
            assert (x @ torch.zeros(8, 8)).dtype == torch.float32
    assert norm.weight.dtype == torch.float32


def test_growth_goes_on_as_from_the_first_to_the_second() -> None:
    assert [Growth(10, 13).at(count) for count in (1, 2, 5)] == [10, 13, 22]
