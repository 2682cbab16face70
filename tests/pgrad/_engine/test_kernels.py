"""The arithmetic of the passes, each against float64 or against plain tensors."""

import pytest
import torch

from pgrad._engine.kernels import products, subtract
from pgrad._engine.trajectory import Trajectory


@pytest.mark.parametrize("columns", [1, 64, 512, 1700, 40_000])
@pytest.mark.parametrize("rows", [1, 2, 9, 11, 12, 27])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products(rows, columns, dtype):
    chunk = torch.randn(rows, columns, dtype=dtype)
    expected = chunk.double() @ chunk.double().T
    found = products(chunk)
    assert (found - expected).triu().norm() <= 32 * torch.finfo(dtype).eps * expected.norm()


@pytest.mark.parametrize("size", [3, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_differences_are_rounded_once(size, dtype, stored):
    values = [torch.randn(size).to(dtype) for _ in range(3)]
    source, target = torch.randn(3 * size), torch.full((3 * size,), torch.nan, dtype=stored)
    subtract(values, (list(source.split(size)), source), (list(target.split(size)), target))
    assert torch.equal(target, (torch.cat(values).float() - source).to(stored))


@pytest.mark.parametrize("sizes", [[5], [3, 1, 40], [300_000, 7], [100_000, 100_000, 4]])
def test_the_last_point_alone(sizes):
    """Its square is formed while the parameters go back, in several parts where they are large."""
    params = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
    start = torch.cat([p.detach() for p in params])
    trajectory = Trajectory(points="last")
    for weight in (-1.0, 0.5):
        for step in range(3):
            trajectory.begin_step(params, step, 3)
            with torch.no_grad():
                for p in params:
                    p += 0.01 * torch.randn_like(p)
            trajectory.end_step(step + 1, 3)
        moved = torch.cat([p.detach() for p in params]) - start
        gram = trajectory.end(3)
        assert torch.equal(torch.cat([p.detach() for p in params]), start)
        square = moved.double().square().sum()
        torch.testing.assert_close(gram, torch.tensor([[0, 0], [0, square]]).double(), rtol=1e-6, atol=0)
        found = trajectory.weighted_sum(torch.tensor([1.0, weight]).double())
        assert torch.equal(torch.cat([found[p] for p in params]), weight * moved)


def test_parameters_given_other_memory_are_followed():
    """A step may give a parameter new memory of the same form; what is kept of it from before must not be used."""
    params = [torch.nn.Parameter(torch.randn(size)) for size in (6, 200_000)]
    trajectory, points = Trajectory(), []
    for step in range(3):
        trajectory.begin_step(params, step, 3)
        points.append(torch.cat([p.detach().double() for p in params]))
        for p in params:
            p.data = p.data + 0.01 * torch.randn_like(p)
        trajectory.end_step(step + 1, 3)
    points.append(torch.cat([p.detach().double() for p in params]))
    x = torch.stack(points) - points[0]
    torch.testing.assert_close(trajectory.end(3), x @ x.T, rtol=1e-4, atol=0)
    assert torch.equal(torch.cat([p.detach().double() for p in params]), points[0])
